"""Reference results by key: other packages' and published figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np

VALUES: dict[str, Any] = json.loads((Path(__file__).parent / "reference_values.json").read_text())
D = [0.012, 0.004, 0.009, -0.002, 0.011, 0.006, 0.003, 0.01, 0.008, 0.001]
D_NAME = "d=[0.012,0.004,0.009,-0.002,0.011,0.006,0.003,0.01,0.008,0.001]"


def same(found: Any, key: str, tolerance: float = 1e-8, part: slice = slice(None)) -> None:
    """`found` are the values under `key` (of them `part`), to a relative tolerance."""
    wanted = np.atleast_1d(VALUES[key])[part]
    np.testing.assert_allclose(np.ravel(found), wanted, rtol=tolerance, atol=1e-12, err_msg=key)

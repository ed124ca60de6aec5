"""Reference results by key: other packages' and published figures. `same` compares, and remembers what it compared."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES: dict[str, Any] = json.loads((Path(__file__).parent / "reference_values.json").read_text())
D = [0.012, 0.004, 0.009, -0.002, 0.011, 0.006, 0.003, 0.01, 0.008, 0.001]
D_NAME = "d=[0.012,0.004,0.009,-0.002,0.011,0.006,0.003,0.01,0.008,0.001]"


@dataclass(frozen=True, slots=True)
class Compared:
    """`part`: which of the values under `key`. Tolerances: relative and absolute."""

    key: str
    part: tuple[int, ...]
    found: NDArray[np.float64]
    wanted: NDArray[np.float64]
    relative: float
    absolute: float

    def off_by(self, *, as_float32: bool = False) -> float:
        """The worst difference, in tolerances; `as_float32`: as if computed in 32 bits."""
        found = self.found.astype(np.float32).astype(np.float64) if as_float32 else self.found
        return float((np.abs(found - self.wanted) / (self.absolute + self.relative * np.abs(self.wanted))).max())


COMPARED: list[Compared] = []


def named(start: str) -> str:
    return next(key for key in VALUES if key.startswith(start))


def same(found: Any, key: str, tolerance: float = 1e-8, part: slice = slice(None), *, within: float = 1e-12) -> None:
    """`found` are the values under `key` (of them `part`), to a relative `tolerance` or `within` an absolute one."""
    values = np.atleast_1d(np.asarray(VALUES[key], np.float64)).ravel()
    wanted, places = values[part], tuple(range(values.size))[part]
    given = np.ravel(np.asarray(found, np.float64))
    np.testing.assert_allclose(given, wanted, rtol=tolerance, atol=within, err_msg=key)
    COMPARED.append(Compared(key, places, given, wanted, tolerance, within))

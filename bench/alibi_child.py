"""Runs in alibi-detect's environment, as `peers_child` does in the others': KS of every column, by its own class.

Reading the reference is not timed: alibi-detect keeps it as it is.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from alibi_detect.cd import KSDrift

ROUNDS = 3


def main() -> None:
    warnings.simplefilter("ignore")
    before, now = (np.load(Path(sys.argv[1]) / f"{side}.npy").T for side in ("before", "now"))
    detector, rounds = KSDrift(before, p_val=0.05), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        detector.predict(now)
        rounds.append(time.perf_counter() - started)
    json.dump(
        {
            "versions": {"alibi-detect": version("alibi-detect")},
            "seconds": {"alibi-detect, KS alone": rounds},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()

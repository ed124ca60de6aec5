"""Runs in the peers' environment, which has nothing of Assay: the real packages on streams that Assay's process made.

Standard input: {"rows" of a bucket, "slow": streams for slow packages, "cases": [{"reference": rows, "start": look}]};
the argument is a folder with 0.npz and so on, a case each: `errors` [streams, rows], the reference first, and `inputs`
[slow, 1,000 + rows of the stream]. Standard output: {"versions", "first": for each case {name: [look of the first alarm
from `start` on, −1 for none, of each stream]}}.
"""

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    ks_stat_test,
    psi_stat_test,
    z_stat_test,
)
from evidently.legacy.core import ColumnType
from nannyml import PerformanceCalculator
from river import drift
from river.drift import binary

INPUTS = 1000  # rows of the inputs' reference
RIVER: dict[str, Callable[[], Any]] = {
    "river ADWIN": drift.ADWIN,
    "river DDM": binary.DDM,
    "river EDDM": binary.EDDM,
    "river PageHinkley": drift.PageHinkley,
    "river HDDM_A": binary.HDDMA,
    "river HDDM_W": binary.HDDMW,
}
SLOW = {"river HDDM_A", "river HDDM_W"}


def by_rows(make: Callable[[], Any], errors: np.ndarray, start: int, rows: int) -> int:
    """Row by row from the stream's beginning; alarms before `start` are passed over, for its benefit."""
    detector = make()
    for row, error in enumerate(errors.tolist()):
        detector.update(error)
        if detector.drift_detected and row >= start * rows:
            return row // rows
    return -1


def first(alarms: Iterator[tuple[int, bool]]) -> int:
    return next((look for look, alarm in alarms if alarm), -1)


def nannyml(errors: np.ndarray, reference: int, start: int, rows: int) -> int:
    """Mean ± 3 sd of the reference's chunks, which is its default."""
    actual = np.arange(errors.size) % 2
    frame = pd.DataFrame({"actual": actual, "predicted": np.where(errors, 1 - actual, actual), "score": 0.5})
    calculator = PerformanceCalculator(
        metrics=["accuracy"],
        y_true="actual",
        y_pred="predicted",
        y_pred_proba="score",
        problem_type="classification_binary",
        chunk_size=rows,
    )
    calculator.fit(frame[:reference])
    seen = calculator.calculate(frame[reference:]).filter(period="analysis").to_df()[("accuracy", "alert")]
    return first((look, alarm) for look, alarm in enumerate(seen.tolist()) if look >= start)


def evidently(test: Any, kind: ColumnType, before: np.ndarray, after: np.ndarray, start: int, rows: int) -> int:
    reference = pd.Series(before)
    windows = ((look, pd.Series(after[look * rows : (look + 1) * rows])) for look in range(start, after.size // rows))
    return first(
        (look, bool(test(reference, window, kind, test.default_threshold).drifted)) for look, window in windows
    )


def main() -> None:
    asked = json.loads(sys.stdin.read())
    first = [
        of_case(Path(sys.argv[1]) / f"{i}.npz", **case, rows=asked["rows"], slow=asked["slow"])
        for i, case in enumerate(asked["cases"])
    ]
    json.dump(
        {"first": first, "versions": {name: version(name) for name in ("river", "nannyml", "evidently")}}, sys.stdout
    )


def of_case(path: Path, *, reference: int, start: int, rows: int, slow: int) -> dict[str, list[int]]:
    with np.load(path) as arrays:
        errors, inputs = arrays["errors"].astype(int), arrays["inputs"].astype(float)
    found: dict[str, list[int]] = {
        name: [by_rows(make, one[reference:], start, rows) for one in errors[: slow if name in SLOW else None]]
        for name, make in RIVER.items()
    }
    few = errors[:slow]
    right = 1 - few
    found["NannyML ± 3 sd"] = [nannyml(one, reference, start, rows) for one in few]
    for name, test in (("z test, p < .05", z_stat_test), ("Jensen-Shannon ≥ .1", jensenshannon_stat_test)):
        found[f"Evidently {name}, on correctness"] = [
            evidently(test, ColumnType.Categorical, one[:reference], one[reference:], start, rows) for one in right
        ]
    for name, test in (("KS, p < .05", ks_stat_test), ("PSI ≥ .1", psi_stat_test)):
        found[f"Evidently {name}, on an input"] = [
            evidently(test, ColumnType.Numerical, one[:INPUTS], one[INPUTS:], start, rows) for one in inputs[:slow]
        ]
    return found


if __name__ == "__main__":
    main()

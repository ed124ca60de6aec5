"""Runs in the peers' environment, which has nothing of Assay: their own packages on the files of the folder given.

Writes {"versions": {name: version}, "seconds": {what: [seconds of each round]}} as JSON to standard output. Importing
and building frames are not timed.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd
from evidently.legacy.metric_preset import DataDriftPreset
from evidently.legacy.report import Report

ROUNDS = 3
METHODS = ["kolmogorov_smirnov", "wasserstein", "jensen_shannon"]


def drift(folder: Path) -> dict[str, Callable[[], object]]:
    before, now = (frame(np.load(folder / f"{side}.npy")) for side in ("before", "now"))

    def fitted() -> nannyml.UnivariateDriftCalculator:
        return nannyml.UnivariateDriftCalculator(
            column_names=list(before.columns), continuous_methods=METHODS, chunk_number=1
        ).fit(before)

    calculator = fitted()

    def report() -> object:
        found = Report([DataDriftPreset()])
        found.run(reference_data=before, current_data=now)
        return found.as_dict()

    return {
        "NannyML, KS, Wasserstein, JS": lambda: calculator.calculate(now),
        "NannyML, with the reference": lambda: fitted().calculate(now),
        "Evidently, with the reference": report,
    }


def estimation(folder: Path) -> dict[str, Callable[[], object]]:
    known, now = (scored(np.load(folder / f"{side}.npy")) for side in ("known", "scored"))
    estimator = nannyml.CBPE(
        metrics=["roc_auc", "accuracy", "f1"],
        y_pred_proba="score",
        y_pred="predicted",
        y_true="actual",
        problem_type="classification_binary",
        chunk_number=1,
    ).fit(known)
    return {"NannyML, CBPE": lambda: estimator.estimate(now)}


def frame(columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({f"f{i}": column for i, column in enumerate(columns)})


def scored(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"score": rows[0], "predicted": (rows[0] >= 0.5).astype(int), "actual": rows[1].astype(int)})


def seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    warnings.simplefilter("ignore")
    folder, answer = Path(sys.argv[1]), sys.stdout
    sys.stdout = sys.stderr  # packages print
    jobs = drift(folder) | estimation(folder)
    rounds = {name: [seconds(job) for _ in range(ROUNDS)] for name, job in jobs.items()}
    versions = {name: version(name) for name in ("nannyml", "evidently")}
    json.dump({"versions": versions, "seconds": rounds}, answer)


if __name__ == "__main__":
    main()

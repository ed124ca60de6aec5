"""DRIFT and ESTIMATE beside NannyML and Evidently, on the same arrays: `./dev bench statistics --peers`.

They need other versions of pandas than Assay's tests, so they live in an environment of their own, .venv-peers, which
`./dev validate` makes from requirements-peers.lock. scipy is in every run already.
"""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.special import expit

from app.stats.cbpe import cbpe, count_scores
from app.stats.drift import NumberReference, many_numbers
from app.stats.recalibration import Recalibration
from bench.report import Line, ms, show, timed

PYTHON = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"
CHILD = Path(__file__).with_name("peers_child.py")
COLUMNS, ROWS, KNOWN, SCORED = 30, 100_000, 200_000, 1_000_000
# Which of our jobs stands beside each of theirs, and the share of its time that it may take at most.
AGAINST = {
    "NannyML, KS, Wasserstein, JS": ("drift", None),
    "NannyML, with the reference": ("both", 0.25),
    "Evidently, with the reference": ("both", 0.25),
    "NannyML, CBPE": ("cbpe", None),
}


def run(*, full: bool) -> None:
    """`full` changes nothing: the peers take minutes as it is."""
    if not PYTHON.exists():
        print("No .venv-peers: `./dev validate` makes it; then ask again.")
        return
    random = np.random.default_rng(0)
    before, now = random.normal(size=(COLUMNS, ROWS)), random.normal(0.02, 1.01, size=(COLUMNS, ROWS))
    score = expit(1.5 * random.normal(size=KNOWN + SCORED))
    actual = random.random(score.size) < score
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/before.npy", before)
        np.save(f"{folder}/now.npy", now)
        np.save(f"{folder}/known.npy", np.stack((score[:KNOWN], actual[:KNOWN])))
        np.save(f"{folder}/scored.npy", np.stack((score[KNOWN:], actual[KNOWN:])))
        theirs = asked(folder)
    references = [NumberReference.of(column) for column in before]
    known = Recalibration.of_rows(score[:KNOWN], actual[:KNOWN])
    ours = timed(
        {
            "drift": lambda: many_numbers(references, list(now)),
            "both": lambda: many_numbers([NumberReference.of(column) for column in before], list(now)),
            "cbpe": lambda: [cbpe(known, count_scores(score[KNOWN:]), name) for name in ("accuracy", "f1", "roc_auc")],
        }
    )
    lines = []
    for name, (job, target) in AGAINST.items():
        taken = statistics.median(theirs["seconds"][name])
        lines.append(Line(name, ms(ours[job]), ms(taken), ours[job] / taken, target, at_most=True))
    show(
        f"PEERS {ROWS:,} × {COLUMNS} columns; {SCORED:,} scores",
        lines,
        ", ".join(" ".join(pair) for pair in theirs["versions"].items()),
    )


def asked(folder: str) -> dict[str, dict[str, list[float]]]:
    """What the child says. Its packages may not call home; -P, since bench/statistics.py is not the library's."""
    env = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    found = subprocess.run([str(PYTHON), "-P", str(CHILD), folder], env=env, stdout=subprocess.PIPE, check=True)
    answer: dict[str, dict[str, list[float]]] = json.loads(found.stdout)
    return answer

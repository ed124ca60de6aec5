"""DRIFT and ESTIMATE beside NannyML, Evidently and alibi-detect, on the same arrays: `./dev bench statistics --peers`.

They need other versions of pandas and numpy than Assay's tests, alibi-detect others than the rest, so they live in
environments of their own, .venv-peers and .venv-alibi, which the first run makes from their locks. scipy is in every
run already.
"""

import json
import os
import statistics
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np
from scipy.special import expit

from app.stats.cbpe import cbpe, count_scores
from app.stats.drift import NumberReference, many_numbers
from app.stats.recalibration import Recalibration
from bench.report import Line, ms, show, timed

ROOT = Path(__file__).parents[1]
CHILDREN = {"peers": "peers_child.py", "alibi": "alibi_child.py"}  # by environment, which has a lock of this name
COLUMNS, ROWS, KNOWN, SCORED = 30, 100_000, 200_000, 1_000_000
# Which of our jobs stands beside each of theirs, and the share of its time that it may take at most.
AGAINST = {
    "NannyML, KS, Wasserstein, JS": ("drift", None),
    "NannyML, with the reference": ("both", 0.25),
    "Evidently, with the reference": ("both", 0.25),
    "NannyML, CBPE": ("cbpe", None),
    "alibi-detect, KS alone": ("drift", None),
}


def run(*, full: bool) -> None:
    """`full` changes nothing: the peers take minutes as it is."""
    random = np.random.default_rng(0)
    before, now = random.normal(size=(COLUMNS, ROWS)), random.normal(0.02, 1.01, size=(COLUMNS, ROWS))
    score = expit(1.5 * random.normal(size=KNOWN + SCORED))
    actual = random.random(score.size) < score
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/before.npy", before)
        np.save(f"{folder}/now.npy", now)
        np.save(f"{folder}/known.npy", np.stack((score[:KNOWN], actual[:KNOWN])))
        np.save(f"{folder}/scored.npy", np.stack((score[KNOWN:], actual[KNOWN:])))
        answers = [asked(name, folder) for name in CHILDREN]
    taken = {what: statistics.median(rounds) for answer in answers for what, rounds in answer["seconds"].items()}
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
        lines.append(Line(name, ms(ours[job]), ms(taken[name]), ours[job] / taken[name], target, at_most=True))
    show(
        f"PEERS {ROWS:,} × {COLUMNS} columns; {SCORED:,} scores",
        lines,
        ", ".join(" ".join(pair) for answer in answers for pair in answer["versions"].items()),
    )


def asked(name: str, folder: str) -> dict[str, dict[str, list[float]]]:
    """What the child says. Its packages may not call home; -P, since bench/statistics.py is not the library's."""
    env = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    child = Path(__file__).with_name(CHILDREN[name])
    found = subprocess.run([made(name), "-P", child, folder], env=env, stdout=subprocess.PIPE, check=True)
    answer: dict[str, dict[str, list[float]]] = json.loads(found.stdout)
    return answer


def made(name: str) -> Path:
    """The environment's Python; the packages are installed where the lock has changed since."""
    home, lock = ROOT / f".venv-{name}", ROOT / f"requirements-{name}.lock"
    python, done = home / "bin" / "python", home / ".lock"
    if not done.exists() or done.read_text() != lock.read_text():
        print(f"Making {home.name} from {lock.name}; it takes some minutes ...")
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "--require-hashes", "--no-deps", "-r", lock], check=True)
        done.write_text(lock.read_text())
    return python

"""V12 and V22: what holds exactly. Binomial coverage by enumeration; counts that merge to the same bits."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, matthews_corrcoef, roc_auc_score

from app.stats.intervals import clopper_pearson, normal, proportion, wilson
from app.stats.metrics import estimate
from app.stats.tally import Sparse, Tally, count_labels, count_predictions, merge, negate
from tests.stats.rows import binary, take
from tests.stats.simulations.registry import Check, Result, register

Floats = NDArray[np.float64]
Rows = dict[str, Any]

SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
CELLS, ROWS = 10_000, 20_000


def coverage(method: Callable[..., Any], n: int, p: Floats) -> Floats:
    """P(the interval of x of n contains p), over all x; [p]."""
    x = np.arange(n + 1)
    low, high = method(x, n)[:2]
    inside = (low <= p[:, np.newaxis]) & (p[:, np.newaxis] <= high)
    return np.asarray((binom.pmf(x, n, p[:, np.newaxis]) * inside).sum(axis=1))


def rates(count: int) -> Floats:
    """From .001 to .999, odd numbers so that no interval's end is hit."""
    return np.linspace(0.00137, 0.99871, count)


def v12(count: int, _: Generator) -> Result:
    """Clopper-Pearson nowhere below its level, Wilson on average at it; the rule that switches between them beside."""
    p = rates(count)
    exact = min(coverage(clopper_pearson, n, p).min() for n in SIZES)
    means = [coverage(wilson, n, p).mean() for n in SIZES]
    shown = [coverage(proportion, n, p[(n * np.minimum(p, 1 - p)) >= 5]) for n in SIZES if n >= 20]
    detail = (
        f"Wilson's mean by size {min(means):.4f} … {max(means):.4f}; "
        f"as metrics switch, the least where 5 of each outcome are expected {min(part.min() for part in shown):.4f}"
    )
    held = exact >= 0.95 and min(means) >= 0.945 and max(means) <= 0.962
    return Result(float(exact), "≥ .95, Wilson's mean in [.945, .962]", bool(held), detail)


def v12_broken(count: int, _: Generator) -> Result:
    p = rates(count)
    found = [coverage(normal, n, p) for n in SIZES]
    least = min(float(part.min()) for part in found)
    means = [float(part.mean()) for part in found]
    return Result(least, "≥ .95", least >= 0.95, f"its mean by size {min(means):.4f} … {max(means):.4f}")


def history(rng: Generator, cells: int, rows: int) -> tuple[Any, NDArray[np.intp], Rows]:
    shape, columns = binary(rows, int(rng.integers(2**31)))
    return shape, rng.integers(0, cells, rows), columns


def in_pieces(rng: Generator, cell: NDArray[np.intp], cells: int, shape: Any, rows: Rows) -> Sparse:
    """Predictions first and their labels late, in random batches, a tenth sent twice and taken back, any order."""
    asked = {"predicted", "score"}
    pieces = []
    for chosen in np.array_split(rng.permutation(len(cell)), int(rng.integers(2, 40))):
        part = take(rows, chosen)
        early = {name: values for name, values in part.items() if name in asked}
        pieces.append(count_predictions(shape, cell[chosen], cells, **early))
        labels = count_labels(shape, cell[chosen], cells, **part)
        pieces.append(labels)
        if rng.random() < 0.1:
            pieces += [labels, negate(labels)]
    order = rng.permutation(len(pieces))
    middle = int(rng.integers(len(pieces)))
    halves = [pieces[i] for i in order[:middle]], [pieces[i] for i in order[middle:]]
    return merge([merge(half) for half in halves if half])


def as_scikit_learn(tally: Tally, rows: Rows) -> bool:
    """Metrics of the merged total, against scikit-learn on all rows at once; the area within its certified bound."""
    y, predicted, score = rows["actual"], rows["predicted"], rows["score"]
    clipped = np.clip(score, np.finfo(float).eps, 1 - np.finfo(float).eps)
    wanted = {
        "accuracy": accuracy_score(y, predicted),
        "f1": f1_score(y, predicted),
        "mcc": matthews_corrcoef(y, predicted),
        "brier": brier_score_loss(y, score),
        "log_loss": log_loss(y, np.stack((1 - clipped, clipped), axis=1)),
    }
    total = tally.total()
    equal = all(abs(estimate(total, name).value[0] / value - 1) <= 1e-12 for name, value in wanted.items())
    area = estimate(total, "roc_auc")
    assert area.bound is not None
    return bool(equal and abs(area.value[0] - roc_auc_score(y, score)) <= area.bound[0])


def v22(runs: int, rng: Generator) -> Result:
    unequal, apart = 0, 0
    for _ in range(runs):
        shape, cell, rows = history(rng, CELLS, ROWS)
        early = {name: rows[name] for name in ("predicted", "score")}
        whole = merge([count_predictions(shape, cell, CELLS, **early), count_labels(shape, cell, CELLS, **rows)])
        pieces = in_pieces(rng, cell, CELLS, shape, rows)
        unequal += pieces != whole
        apart += not as_scikit_learn(Tally.of(shape, CELLS, pieces), rows)
    detail = f"{CELLS:,} cells each; metrics beyond 1e-12 of scikit-learn's, or the area beyond its bound: {apart}"
    return Result(unequal / runs, "= 0", unequal == 0 and apart == 0, detail)


def v22_broken(runs: int, rng: Generator) -> Result:
    """The same losses as float sums: their last bits depend on the order."""
    unequal = 0
    for _ in range(runs):
        _, cell, rows = history(rng, 100, ROWS)
        loss = (rows["score"] - rows["actual"]) ** 2
        order = rng.permutation(ROWS)
        sums = [np.bincount(cell[rows_], loss[rows_], 100) for rows_ in (np.arange(ROWS), order)]
        unequal += not np.array_equal(*sums)
    return Result(unequal / runs, "= 0", unequal == 0)


register(Check("V12", "least coverage of a rate's interval, enumerated", v12, 200, 60, v12_broken, "Wald's interval"))
register(Check("V22", "merged counts that differ in a bit", v22, 200, 5, v22_broken, "float sums"))

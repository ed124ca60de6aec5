"""No bare number: every result of `app.stats` says how it was got, what it assumes, and whether it may be looked at
again; every public function shows an example. Found by discovery, so a new one cannot forget.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_type_hints

import numpy as np
import pytest

import app.stats
from app.stats.delays import ages, kaplan_meier
from app.stats.evidence import NO_GUARANTEE, Estimates
from app.stats.intervals import Interval, clopper_pearson
from app.stats.metrics import METRICS, estimate, metrics_of
from app.stats.sequential import Kind, Reading
from app.stats.tally import Shape, Tally, Task, count_labels
from tests.stats.rows import binary, multiclass, tally

MODULES = [importlib.import_module(m.name) for m in pkgutil.iter_modules(app.stats.__path__, "app.stats.")]
META = {"method", "assumption", "validity"}

ASKED = "canary.Canary losses.Question drift.Margins planning.Budget sequential.Detector sequential.Monitor bets.Bets "
ASKED += "registry.Metric counting.Shape evidence.Axis"
HELD = "canary.State shadow.State sequential.State sequential.Trail sequential.Bucket conformal.Past sparse.Sparse "
HELD += "sketches.Sketch claims.Claims weighed.Weighed ladder.Ladder ladder.Spans planes.Marks planes.Totals "
HELD += "doubledouble.DD pages.Pages ecdf.Sorted drift.NumberReference recalibration.Recalibration classification.Cells"
INNER = "onevsrest.Problems auc.Ranks averageprecision.Precision evidence.Proportion evidence.MeanOfProportions "
INNER += "evidence.Smooth skewed.PositiveMean ecdf.Distances binned.Gaps divergence.Divergences"
CARD = "diagnostics.Dispersion diagnostics.Assumptions planning.Plan"
NO_RESULTS = {
    "what is asked, not answered": ASKED,
    "what is counted or remembered, from which results are computed": HELD,
    "steps on the way to a result that has it all": INNER,
    "itself the statement of what is assumed": CARD,
}
NO_EXAMPLE = {
    *(
        f"{entry.read.__module__.rpartition('.')[2]}.{name}" for name, entry in METRICS.items()
    ),  # metrics.estimate shows
    "registry.metric",  # a decorator; the metrics are its examples
    "diagnostics.assess",  # planning.plan_rate shows it
}


def own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    short = module.__name__.rpartition(".")[2]
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield f"{short}.{name}", value


CLASSES = {
    name: value
    for module in MODULES
    for name, value in own(module)
    if inspect.isclass(value) and dataclasses.is_dataclass(value)
}
FUNCTIONS = {name: value for module in MODULES for name, value in own(module) if inspect.isfunction(value)}
EXEMPT = {name for names in NO_RESULTS.values() for name in names.split()}


def says(kind: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether the class, or what it holds, carries the meta."""
    if kind in (Interval, Estimates):
        return True
    if not (inspect.isclass(kind) and dataclasses.is_dataclass(kind)) or kind in seen:
        return False
    fields = {field.name for field in dataclasses.fields(kind)}
    offered = fields | {name for name, value in vars(kind).items() if isinstance(value, property)}
    if offered >= META:
        return True
    hints = get_type_hints(kind).values()
    inner = [part for hint in hints for part in (hint, *getattr(hint, "__args__", ()))]
    return any(says(part, seen | {kind}) for part in inner)


@pytest.mark.parametrize("name", sorted(set(CLASSES) - EXEMPT))
def test_a_result_says_how_it_was_got(name: str) -> None:
    assert says(CLASSES[name]), "add method, assumption and validity, or hold an Interval"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_is_frozen(name: str) -> None:
    assert CLASSES[name].__dataclass_params__.frozen


def test_the_exemptions_are_needed() -> None:
    assert set(CLASSES) >= EXEMPT
    assert [name for name in EXEMPT if says(CLASSES[name])] == []


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - NO_EXAMPLE))
def test_a_public_function_shows_an_example(name: str) -> None:
    assert ">>>" in (FUNCTIONS[name].__doc__ or "")


class TestInterval:
    @pytest.mark.parametrize("kind", list(Kind))
    def test_readings_of_a_monitor_are_anytime(self, kind: Kind) -> None:
        reading = Reading(kind, 1.0, 5.0, 0.5, alarm=False, pages=False)
        assert reading.validity == "anytime"
        assert reading.method.startswith("SR e-detector")
        assert "while nothing is wrong" in reading.assumption

    def test_the_delay_curve_has_one(self) -> None:
        """Greenwood's, against many curves of the same process."""
        truth, inside = -np.expm1(-1.0), 0
        for seed in range(300):
            random = np.random.default_rng(seed)
            delay, age = random.exponential(1e5, 200), random.uniform(0, 4e5, 200)
            came = delay < age
            edges = np.clip(np.searchsorted(2.0 ** (np.arange(159) / 4), delay[came], side="right"), 0, 159)
            curve = kaplan_meier(np.bincount(edges, minlength=160), ages(age[~came], np.ones((~came).sum(), int)))
            found = curve.by(1e5)
            inside += found.low <= truth <= found.high
        assert inside / 300 >= 0.93 - 3 * np.sqrt(0.05 * 0.95 / 300)
        empty = kaplan_meier(np.zeros(160, np.int64), np.zeros(160, np.int64)).by(10.0)
        assert np.isnan(empty.low)


class TestGuaranteed:
    def test_proportions_are_exact_however_many_rows(self) -> None:
        shape, rows = binary(3000)
        found = estimate(tally(shape, rows), "accuracy", guaranteed=True)
        hits = int((rows["actual"] == rows["predicted"]).sum())
        assert found.method == ("clopper-pearson",)
        assert (found.low[0], found.high[0]) == pytest.approx([float(end) for end in clopper_pearson(hits, 3000)])

    def test_bounded_losses_are_and_the_others_say_that_they_are_not(self) -> None:
        read = tally(*binary(3000))
        sure = {"accuracy", "precision", "recall", "specificity", "f1", "log_loss", "brier"}
        for name in metrics_of(Task.BINARY):
            plain, found = estimate(read, name), estimate(read, name, guaranteed=True)
            assert (NO_GUARANTEE in found.note) == (name not in sure), name
            assert found.low[0] <= plain.low[0] + 1e-12
            assert found.high[0] >= plain.high[0] - 1e-12
        assert estimate(read, "brier", guaranteed=True).method == ("empirical bernstein",)

    def test_of_many_classes_the_mean_says_so(self) -> None:
        found = estimate(tally(*multiclass(900)), "precision", guaranteed=True)
        assert found.method == ("mover of clopper-pearson",)
        assert NO_GUARANTEE in found.note

    def test_no_rows(self) -> None:
        shape = Shape(Task.BINARY, 2)
        none = {"actual": np.empty(0), "predicted": np.empty(0, int), "score": np.empty(0)}
        counted = count_labels(shape, np.empty(0, np.intp), 1, **none, delay_us=np.empty(0, np.int64))
        assert np.isnan(estimate(Tally.of(shape, 1, counted), "brier", guaranteed=True).low[0])

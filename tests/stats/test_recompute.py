"""An alarm is computed again, bit for bit, from the rollups alone: in any order of merging, with stops on the way."""

import itertools
import json

import numpy as np
import pytest

from app.stats.bets import RANKED
from app.stats.draws import key_of
from app.stats.metrics import estimate
from app.stats.sequential import Bucket, Detector, Kind, Monitor, Reading, State, begin, replay, update
from app.stats.sparse import Sparse
from app.stats.tally import Tally, count_labels, merge
from tests.stats.rows import BINARY

HOURS, ROWS, REFERENCE = 90, 120, 40
WATCHED = ("accuracy", "f1", "roc_auc", "pr_auc", "brier")
MONITOR = Monitor(
    key_of("any"),
    (
        Detector(Kind.FLOOR, 5.0, floor=0.25),
        Detector(Kind.COUNT, 5.0),
        Detector(Kind.RANK, 5.0, bets=RANKED, worse="either"),
        Detector(Kind.FLOOR, 5.0, floor=0.25, for_ever=True),
    ),
    slots=4,
)


def rollups() -> Sparse:
    """Hourly counts merged from batches that came in any order; the scores lose their meaning in the last 20 hours."""
    random = np.random.default_rng(11)
    cell = np.repeat(np.arange(HOURS), ROWS)
    score = random.random(cell.size)
    meant = np.where(cell < HOURS - 20, score, 0.5)
    rows = {
        "actual": (random.random(cell.size) < meant) * 1.0,
        "predicted": (score >= 0.5).astype(np.int16),
        "score": score,
        "delay_us": np.zeros(cell.size, np.int64),
    }
    batches = np.array_split(random.permutation(cell.size), 17)
    return merge([count_labels(BINARY, cell[b], HOURS, **{k: v[b] for k, v in rows.items()}) for b in batches])


def stream(tally: Tally, metric: str) -> list[Bucket]:
    wrong = tally.labelled - np.trace(tally.confusion, axis1=1, axis2=2)
    values = estimate(tally, metric).value.tolist()
    numbers = zip(tally.labelled.tolist(), wrong.tolist(), values, strict=True)
    return [Bucket(3_600_000_000 * i, *number, slot=i % 4) for i, number in enumerate(numbers)]


def by_hour(sparse: Sparse) -> list[Tally]:
    """Each hour read alone, as a monitor does when its bucket is complete."""
    ends = np.searchsorted(sparse.cell, np.arange(HOURS + 1))
    parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    zeros = [np.zeros(part.stop - part.start, np.uint32) for part in parts]
    return [
        Tally.of(BINARY, 1, Sparse(zero, sparse.code[part], sparse.amount[part]))
        for zero, part in zip(zeros, parts, strict=True)
    ]


@pytest.mark.parametrize("metric", WATCHED)
def test_hour_by_hour_with_restarts_is_the_year_at_once(metric: str) -> None:
    whole = stream(Tally.of(BINARY, HOURS, rollups()), metric)
    state, seen = begin(MONITOR, whole[:REFERENCE]), []
    for i, hour in enumerate(by_hour(rollups())[REFERENCE:], REFERENCE):
        alone = stream(hour, metric)[0]
        bucket = Bucket(3_600_000_000 * i, alone.n, alone.x, alone.value, slot=i % 4)
        state = State.from_json(json.loads(json.dumps(state.to_json())))
        state, readings = update(MONITOR, state, bucket)
        seen.append(readings)
    again, wanted = replay(MONITOR, whole[:REFERENCE], whole[REFERENCE:])
    assert [exact(look) for look in seen] == [exact(look) for look in wanted]
    assert state == again
    assert any(reading.alarm for look in seen for reading in look)


def exact(look: tuple[Reading, ...]) -> list[tuple[str, str, bool]]:
    return [(reading.log_e.hex(), reading.p.hex(), reading.alarm) for reading in look]

"""Random traffic of one model beside a plain list of it: what the rollups must equal, counted row by row."""

import contextlib

import numpy as np
import pytest

from app.core.clock import DAY, HOUR, SECOND, FrozenClock
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.sparse import Sparse
from app.stats.tally import Task, count_labels, count_predictions, merge
from app.tracking.rollups.fold import Folder
from tests.support.models import make_model
from tests.support.raw_writer import RawWriter, Row

TASKS = {
    "binary": {},
    "multiclass": {},
    "regression": {},
}


class Stream:
    """Random traffic of one model: late, repeated, corrected, imported, out-of-order; folded at random."""

    def __init__(self, database: Database, clock: FrozenClock, facts: ModelFacts, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.clock = clock
        self.facts = facts
        self.writer = RawWriter(database, clock, facts)
        self.folder = Folder(database, clock)
        self.contexts: list[tuple[int, int, tuple[int, ...]]] = []

    async def prepare(self) -> None:
        for version_no in self.facts.versions.values():
            for segments in ({}, {"channel": "web"}, {"channel": "app", "country": "DE"}):
                self.contexts.append((version_no, *(await self.writer.context(version_no, segments))))

    async def step(self) -> None:
        self.clock.advance(seconds=float(self.random.choice([0.4, 30, 700, 5000])))
        if self.random.random() < 0.2:
            self.clock.set((self.clock.now_us() // HOUR + 1) * HOUR)
        kind = self.random.choice(["predict", "import", "label", "label", "correct", "import labels", "fold", "crash"])
        match kind:
            case "predict":
                await self.writer.predict(self.predictions(self.clock.now_us()))
            case "import":
                await self.writer.predict(self.predictions(self.clock.now_us(), imported=True), imported=True)
            case "label":
                await self.label(corrected=False)
            case "correct":
                await self.label(corrected=True)
            case "import labels":
                await self.import_labels()
            case "fold":
                await self.folder.fold_all()
            case "crash":
                await self.crash()

    def predictions(self, now_us: int, *, imported: bool = False) -> list[Row]:
        return [self.prediction(now_us, imported) for _ in range(int(self.random.integers(1, 40)))]

    def prediction(self, now_us: int, imported: bool) -> Row:
        version_no, context_id, segments = self.contexts[self.random.integers(len(self.contexts))]
        at = now_us - int(self.random.choice([0, 90 * SECOND, 3 * HOUR, 40 * HOUR, 4 * DAY]))
        scored = self.random.random() < 0.8
        scores = self.random.dirichlet(np.ones(3))
        match self.facts.task:
            case Task.BINARY:
                score = self.random.random() if scored else np.nan
                predicted, vector = int(score >= 0.5) if scored else 1, None
            case Task.MULTICLASS:
                score, predicted, vector = np.nan, int(scores.argmax()), tuple(scores.tolist()) if scored else None
            case Task.REGRESSION:
                score, predicted, vector = float(self.random.normal(10, 3)), 0, None
        return Row(at, at if imported else -1, context_id, version_no, segments, predicted, score, vector)

    def actual(self, number: int) -> float:
        if self.facts.task is Task.REGRESSION:
            return self.writer.rows[number].score + float(self.random.normal())
        return float(self.random.integers(len(self.facts.classes)))

    async def label(self, *, corrected: bool) -> None:
        wanted = [number for number in range(len(self.writer.rows)) if (number in self.writer.labels) == corrected]
        await self.write_labels(wanted[:: int(self.random.integers(1, 4))])

    async def write_labels(self, chosen: list[int], known_at: list[int] | None = None) -> None:
        if chosen:
            await self.writer.label(chosen, [self.actual(number) for number in chosen], known_at=known_at)

    async def import_labels(self) -> None:
        """Known some time between the prediction and now."""
        fresh = [number for number in range(len(self.writer.rows)) if number not in self.writer.labels]
        chosen = fresh[::3]
        now = self.clock.now_us()
        known = [int(self.random.integers(self.writer.rows[number].known_at, now + 1)) for number in chosen]
        await self.write_labels(chosen, known)

    async def crash(self) -> None:
        """The folder dies after it wrote and before it was durable."""
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_Killed):
            patch.setattr("app.tracking.rollups.fold.folding.announce", _dies)
            await self.folder.fold(self.facts.id)

    def moments(self) -> list[int]:
        """Any, borders of hours, and such at which something became known, or just not yet."""
        known = [row.known_at for row in self.writer.rows] + [label[-1][0] for label in self.writer.labels.values()]
        some = self.random.choice(known, 6).tolist()
        whole = [moment // HOUR * HOUR for moment in some[:3]]
        any_time = self.random.integers(min(known), self.clock.now_us() + HOUR, 4).tolist()
        return [*any_time, *some, *(moment - 1 for moment in some), *whole, *(moment - 1 for moment in whole)]

    def expected(
        self, grain_s: int, moment: int, *, version_no: int | None = None, segment_no: int | None = None
    ) -> tuple[list[int], Sparse]:
        """Bucket starts and the plain count of what was known at `moment`."""
        rows = [
            (row, [label for label in self.writer.labels.get(number, []) if label[0] <= moment])
            for number, row in enumerate(self.writer.rows)
            if row.known_at <= moment
            and version_no in (None, row.version_no)
            and (segment_no is None or segment_no in row.segments)
        ]
        bucket = np.array([row.predicted_at // (grain_s * SECOND) for row, _ in rows], np.int64)
        starts, cell = np.unique(bucket, return_inverse=True)
        labelled = [place for place, (_, labels) in enumerate(rows) if labels]
        columns = _arrays(self.facts, [row for row, _ in rows])
        counted = count_predictions(self.facts.shape, cell, len(starts), **columns)
        known = {name: None if column is None else column[labelled] for name, column in columns.items()}
        labels = count_labels(
            self.facts.shape,
            cell[labelled],
            len(starts),
            actual=np.array([rows[place][1][-1][1] for place in labelled], np.float64),
            delay_us=np.array([rows[place][1][0][0] - rows[place][0].predicted_at for place in labelled], np.int64),
            **known,
        )
        return (starts * grain_s * SECOND).tolist(), merge([counted, labels])


class _Killed(Exception):  # noqa: N818
    """Stands for the end of the process."""


async def _dies(*_: object) -> None:
    raise _Killed


def _arrays(facts: ModelFacts, rows: list[Row]) -> dict[str, np.ndarray | None]:
    nothing = (np.nan,) * 3
    vectors = np.array([nothing if row.scores is None else row.scores for row in rows]).reshape(-1, 3)
    return {
        "predicted": np.array([row.predicted for row in rows], np.int32),
        "score": np.array([row.score for row in rows], np.float64),
        "scores": vectors if facts.task is Task.MULTICLASS else None,
    }


async def make_stream(
    database: Database, clock: FrozenClock, task: str, *, seed: int = 1, model_id: str = "m1"
) -> Stream:
    facts = await make_model(database, model_id, task=task, versions=("1", "2"), **TASKS[task])
    made = Stream(database, clock, facts, seed)
    await made.prepare()
    return made

"""Features are counted on the bins of the reference, by version and time, once each."""

import numpy as np
import pytest

from app.core.clock import DAY, FrozenClock
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.reference import ReferenceFeature
from app.tracking.batch import MISSING, Coded, Feature, Numbers
from app.tracking.rollups import bins
from app.tracking.rollups.features import Features
from app.tracking.rollups.fold import Folder
from tests.support.models import make_model
from tests.support.raw_writer import RawWriter, Row

RANDOM = np.random.default_rng(5)


def numbers(*values: float) -> Numbers:
    return Numbers(np.array(values, np.float64))


class TestBins:
    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (RANDOM.normal(size=10_000), "continuous: quantiles"),
            (RANDOM.exponential(size=10_000), "skewed: quantiles too"),
            (RANDOM.integers(0, 7, 10_000).astype(float), "few values: one bin each"),
            (np.where(RANDOM.random(10_000) < 0.9, 0.0, RANDOM.random(10_000)), "one value holds most quantiles"),
            (np.full(10_000, 3.0), "constant"),
            (np.full(10_000, np.nan), "never there"),
        ],
    )
    def test_of_numbers_agree_with_numpy(self, values: np.ndarray, reason: str) -> None:
        found = bins.found([Numbers(values)])
        assert found.edges is not None
        assert found.size <= bins.MOST_BINS + 1, reason  # and one for missing
        there = values[~np.isnan(values)]
        expected, _ = np.histogram(there, bins=[-np.inf, *found.edges, np.inf])
        assert found.counts == (len(values) - len(there), *expected.tolist())

    def test_of_a_constant_show_every_other_value(self) -> None:
        found = bins.found([numbers(*[3.0] * 50)])
        assert len(set(found.codes(numbers(2.9, 3.0, 3.1)).tolist())) == 3

    def test_of_categories_keep_the_most_frequent_names(self) -> None:
        names = tuple(f"c{number:03}" for number in range(200))
        codes = np.repeat(np.arange(200), np.arange(200) + 1).astype(np.int32)
        found = bins.found([Coded(np.append(codes, MISSING).astype(np.int32), names)])
        assert found.names == tuple(reversed(names))[: bins.MOST_NAMES]
        assert found.counts[:2] == (1, 200)
        assert sum(found.counts) == len(codes) + 1
        assert found.codes(Coded(np.array([0, 1], np.int32), ("c199", "new"))).tolist() == [1, bins.MOST_NAMES + 1]

    @pytest.mark.parametrize(
        ("stated", "feature", "codes"),
        [
            (ReferenceFeature((0.0, 1.0, 2.0), (5, 6)), numbers(-9, 0.5, 1.0, 9, np.nan), [1, 1, 2, 2, 0]),
            (
                ReferenceFeature(("DE", "FR"), (5, 6)),
                Coded(np.array([0, 1, 2, MISSING], np.int32), ("FR", "IT", "DE")),
                [2, 3, 1, 0],
            ),
            (ReferenceFeature((0.0, 1.0, 2.0), (5, 6)), Coded(np.array([0], np.int32), ("x",)), [0]),
            (ReferenceFeature(("DE",), (5,)), numbers(1.0, np.nan), [2, 0]),
        ],
        ids=["outside goes to the outer bins", "unknown names are one bin", "text for a number", "number for a name"],
    )
    def test_that_setup_states_are_taken(self, stated: ReferenceFeature, feature: Feature, codes: list[int]) -> None:
        found = bins.stated(stated)
        assert found.codes(feature).tolist() == codes
        assert len(found.counts) == found.size

    def test_are_the_same_after_storage(self) -> None:
        kept = {"x": bins.found([numbers(*RANDOM.normal(size=99))]), "c": bins.stated(ReferenceFeature(("a",), (1,)))}
        assert bins.from_json(bins.as_json(kept)) == kept


class World:
    def __init__(self, writer: RawWriter, features: Features, folder: Folder) -> None:
        self.writer, self.features, self.folder = writer, features, folder
        self.sent: list[tuple[Row, float, str]] = []

    async def send(self, n: int, *, version: str = "1", shift: float = 0.0) -> None:
        facts, now = self.writer.facts, self.writer.clock.now_us()
        version_no = facts.versions[version]
        context_id, segments = await self.writer.context(version_no, {})
        ages = RANDOM.integers(0, 3 * DAY, n).tolist()
        rows = [Row(now - age, now, context_id, version_no, segments, 1, 0.5) for age in ages]
        amount, country = RANDOM.normal(shift, 1, n), RANDOM.integers(0, 3, n).astype(np.int32)
        names = ("DE", "FR", "IT")
        await self.writer.predict(rows, features={"amount": Numbers(amount), "country": Coded(country, names)})
        self.sent += zip(rows, amount.tolist(), (names[code] for code in country), strict=True)
        await self.folder.fold_all()


@pytest.fixture
async def world(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> World:
    reference = getattr(request, "param", None)
    facts = await make_model(database, versions=("1", "2"), reference=reference)
    features = Features(database, clock, Catalogue(database))
    return World(RawWriter(database, clock, facts), features, Folder(database, clock))


STATED = {
    "amount": {"bins": [-4, -1, 0, 1, 4], "counts": [1, 2, 3, 4]},
    "country": {"bins": ["DE", "FR"], "counts": [7, 8]},
}


class TestFolding:
    @pytest.mark.parametrize("world", [STATED], indirect=True)
    @pytest.mark.parametrize("grain_s", [3600, 86_400])
    async def test_counts_every_row_once_by_time_and_version(self, world: World, grain_s: int) -> None:
        for number in range(3):
            await world.send(400, version=str(number % 2 + 1))
            await world.features.fold_all()
        await world.features.fold_all()
        for version, version_no in [(None, None), *world.writer.facts.versions.items()]:
            series = await world.features.series(world.writer.facts.id, grain_s=grain_s, version_no=version_no)
            assert series is not None
            sent = [row for row in world.sent if version is None or row[0].version_no == version_no]
            bucket = np.array([row.predicted_at // (grain_s * 1_000_000) for row, _, _ in sent])
            starts, cell = np.unique(bucket, return_inverse=True)
            assert series.start_us.tolist() == (starts * grain_s * 1_000_000).tolist()
            assert series.n.tolist() == np.bincount(cell).tolist()
            amount = np.array([value for _, value, _ in sent])
            for point in range(len(starts)):
                expected, _ = np.histogram(amount[cell == point], bins=[-np.inf, -1, 0, 1, np.inf])
                assert series.counts["amount"][point].tolist() == [0, *expected]
            italian = [name == "IT" for _, _, name in sent]
            assert series.counts["country"][:, 3].sum() == sum(italian)

    async def test_waits_for_ten_thousand_rows_where_setup_gave_no_reference(self, world: World) -> None:
        await world.send(6000)
        await world.features.fold_all()
        assert await world.features.series(world.writer.facts.id) is None
        await world.send(6000)
        await world.send(500, shift=9.0)
        await world.features.fold_all()
        series = await world.features.series(world.writer.facts.id, grain_s=86_400)
        assert series is not None
        assert series.revision == 0
        assert series.n.sum() == 12_500
        assert series.counts["amount"][:, -1].sum() > 500

    @pytest.mark.parametrize("world", [STATED], indirect=True)
    async def test_starts_again_with_a_new_reference(self, world: World, database: Database) -> None:
        await world.send(300)
        await world.features.fold_all()
        async with database.connection() as connection:
            await connection.execute(
                """update model set reference = '{"amount": {"bins": [0, 1, 2], "counts": [1, 1]}}', """
                "reference_revision = 2"
            )
        await world.send(100)
        await world.features.fold_all()
        series = await world.features.series(world.writer.facts.id, grain_s=86_400)
        assert series is not None
        assert (series.revision, series.n.sum(), list(series.counts)) == (2, 400, ["amount"])
        assert series.counts["amount"].shape[1] == 3

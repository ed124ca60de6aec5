"""The facts of models: complete, the same for all processes within a second, changed by one writer at a time."""

import asyncio

import pytest

from app.db.engine import Database
from app.models.catalogue import MAX_CLASSES, Catalogue
from app.models.errors import ModelNotFound, TooManyClasses
from app.models.reference import ReferenceFeature
from app.stats.tally import Task
from tests.support.models import make_model


@pytest.fixture
def catalogue(database: Database) -> Catalogue:
    return Catalogue(database, retention_days=30)


class TestFacts:
    async def test_tell_all_that_the_hot_path_needs(self, database: Database, catalogue: Catalogue) -> None:
        await make_model(database, "m", threshold=0.3, schema={"amount": "number"}, versions=("a", "b"), champion="a")
        facts = await catalogue.facts("m")
        assert (facts.task, facts.classes, facts.positive, facts.threshold) == (Task.BINARY, ("0", "1"), 1, 0.3)
        assert (facts.schema, list(facts.versions), facts.default_version) == ({"amount": "number"}, ["a", "b"], "a")
        assert (facts.retention_days, facts.archived) == (30, False)

    async def test_name_the_latest_version_where_there_is_no_champion(
        self, database: Database, catalogue: Catalogue
    ) -> None:
        await make_model(database, "m", versions=("2", "10", "1"))
        assert (await catalogue.facts("m")).default_version == "1"

    async def test_own_retention_goes_before_the_general_one(self, database: Database, catalogue: Catalogue) -> None:
        await make_model(database, "m", retention_days=7)
        assert (await catalogue.facts("m")).retention_days == 7

    async def test_refuse_a_model_that_is_not_there(self, catalogue: Catalogue) -> None:
        with pytest.raises(ModelNotFound, match="nothing"):
            await catalogue.facts("nothing")

    async def test_a_model_that_was_not_there_is_found_once_it_is(
        self, database: Database, catalogue: Catalogue
    ) -> None:
        with pytest.raises(ModelNotFound):
            await catalogue.facts("m")
        await make_model(database, "m")
        assert (await catalogue.facts("m")).model_id == "m"

    async def test_list_every_model_in_order_of_number(self, database: Database, catalogue: Catalogue) -> None:
        for name in ("b", "a"):
            await make_model(database, name)
        assert [facts.model_id for facts in await catalogue.all()] == ["b", "a"]

    async def test_many_who_ask_at_once_share_one_query(self, database: Database, catalogue: Catalogue) -> None:
        await make_model(database, "m")
        answers = await asyncio.gather(*(catalogue.facts("m") for _ in range(100)))  # the pool has four connections
        assert all(answer is answers[0] for answer in answers)

    async def test_one_who_gives_up_does_not_spoil_it_for_the_others(
        self, database: Database, catalogue: Catalogue
    ) -> None:
        await make_model(database, "m")
        first, second = (asyncio.create_task(catalogue.facts("m")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).model_id == "m"


class TestOtherProcesses:
    async def test_hear_of_a_change_at_once(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", task="multiclass", allow_new_classes=True)
        stop = asyncio.Event()
        listening = asyncio.create_task(catalogue.run(stop))
        await asyncio.sleep(0.1)
        await catalogue.facts("m")
        await Catalogue(database).add_classes(made.id, ["yak"])
        await asyncio.sleep(0.1)
        assert "yak" in (await catalogue.facts("m")).classes
        stop.set()
        await listening

    async def test_see_a_change_after_a_second_where_nobody_listens(
        self, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.models.catalogue.STALE_S", 0.05)
        made = await make_model(database, "m", task="multiclass")
        await catalogue.facts("m")
        await Catalogue(database).add_classes(made.id, ["yak"])
        assert "yak" not in (await catalogue.facts("m")).classes
        await asyncio.sleep(0.06)
        assert "yak" in (await catalogue.facts("m")).classes

    async def test_are_asked_for_the_revision_alone_where_nothing_changed(
        self, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.models.catalogue.STALE_S", 0.0)
        await make_model(database, "m", task="multiclass")
        kept = await catalogue.facts("m")
        assert await catalogue.facts("m") is kept

    async def test_are_heard_again_after_the_connection_was_lost(
        self, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.db.listening.RECONNECT_S", 0.05)
        stop = asyncio.Event()
        listening = asyncio.create_task(catalogue.run(stop))
        await asyncio.sleep(0.1)
        async with database.connection() as connection:
            count = "select count(*) from pg_stat_activity where query like 'LISTEN%' and datname = current_database()"
            await connection.fetchval(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query like 'LISTEN%' and datname = current_database()"
            )
            await asyncio.sleep(0.3)
            assert await connection.fetchval(count) == 1
        stop.set()
        await listening


class TestAddClasses:
    async def test_never_moves_a_class_that_has_its_index(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", task="multiclass")
        grown = await catalogue.add_classes(made.id, ["yak", "cat", "yak", "ant"])
        assert grown.classes == (*made.classes, "yak", "ant")

    async def test_two_at_once_lose_nothing(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", task="multiclass")
        await asyncio.gather(*(catalogue.add_classes(made.id, [f"c{n}", "shared"]) for n in range(8)))
        grown = (await catalogue.facts("m")).classes
        assert sorted(grown[3:]) == sorted([*(f"c{n}" for n in range(8)), "shared"])

    async def test_known_ones_change_nothing(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", task="multiclass")
        assert (await catalogue.add_classes(made.id, ["cat"])).revision == made.revision

    async def test_ends_at_the_limit(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", task="multiclass")
        with pytest.raises(TooManyClasses):
            await catalogue.add_classes(made.id, [str(n) for n in range(MAX_CLASSES)])


class TestReference:
    async def test_is_the_one_that_setup_gave(self, database: Database, catalogue: Catalogue) -> None:
        made = await make_model(database, "m", reference={"amount": {"bins": [0, 1, 2], "counts": [3, 4]}})
        reference = await catalogue.reference(made.id)
        assert reference is not None
        assert reference.features == {"amount": ReferenceFeature((0, 1, 2), (3, 4))}
        assert reference.revision == 1

    async def test_is_nothing_where_the_first_rows_are_to_make_it(
        self, database: Database, catalogue: Catalogue
    ) -> None:
        made = await make_model(database, "m")
        assert await catalogue.reference(made.id) is None

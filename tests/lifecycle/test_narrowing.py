"""How long rows are kept and which features they may have holds for those of all versions: who may narrow it."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db.engine import Database
from app.models.catalogue import Catalogue
from tests.support.http import Identities, bearer, client_of
from tests.support.setups import body, named, pointers, set_up

_numbers = itertools.count()


class TestWhatHoldsForRowsThatAreThere:
    @pytest.fixture
    async def scientist(self, app: FastAPI, identities: Identities) -> AsyncIterator[httpx.AsyncClient]:
        async with client_of(app, **bearer(await identities.user("data_scientist"))) as client:
            yield client

    async def traffic(self, client: httpx.AsyncClient) -> httpx.Response:
        row = {"prediction_id": f"p{next(_numbers)}", "score": 0.5, "version": "1", "features": {"b": 1}}
        return await client.post("/models/m/predictions", json={"predictions": [row]})

    async def days(self, database: Database) -> int:
        return (await Catalogue(database).facts("m")).retention_days

    async def details(self, admin: httpx.AsyncClient) -> dict[str, Any]:
        [newest] = (await admin.get("/audit", params={"action": "model.set-up", "limit": 1})).json()["entries"]
        return dict(newest["details"])

    @pytest.mark.parametrize(
        ("stated", "pointer", "mend"),
        [
            ({"retention_days": 30}, "/dataset_config/retention_days", "is 730 for the model"),
            ({"schema": {"a": "number"}}, "/dataset_config/schema", "would refuse rows that the model takes"),
        ],
    )
    async def test_is_not_narrowed_by_who_may_not_purge(
        self, scientist: httpx.AsyncClient, stated: dict[str, Any], pointer: str, mend: str
    ) -> None:
        await set_up(scientist, body())
        await self.traffic(scientist)
        answer = await set_up(scientist, body("dataset_config", stated, version="2"))
        assert (answer.status_code, pointers(answer)) == (409, [pointer])
        assert mend in answer.json()["errors"][0]["message"]
        assert "leave it out, or state" in answer.json()["errors"][0]["message"]
        assert (await scientist.get("/models/m")).json()["versions"] == ["1"]
        assert (await self.traffic(scientist)).status_code == 201

    async def test_a_label_that_waits_is_a_row(self, scientist: httpx.AsyncClient) -> None:
        await set_up(scientist, body())
        await scientist.post("/models/m/labels", json={"labels": [{"prediction_id": "a", "actual": "1"}]})
        answer = await set_up(scientist, body("dataset_config.retention_days", 30, version="2"))
        assert pointers(answer) == ["/dataset_config/retention_days"]

    async def test_is_free_while_there_are_none(self, scientist: httpx.AsyncClient, database: Database) -> None:
        for model_id in ("other", "m"):  # the one before it in the index of rows has some
            await set_up(scientist, named(model_id, body()))
        rows = {"predictions": [{"prediction_id": "a", "score": 0.5}]}
        assert (await scientist.post("/models/other/predictions", json=rows)).status_code == 201
        stated = {"schema": {"a": "number"}, "retention_days": 30}
        assert (await set_up(scientist, body("dataset_config", stated, version="2"))).status_code == 201
        assert await self.days(database) == 30

    async def test_may_be_kept_longer_than_what_was_left_open(
        self, scientist: httpx.AsyncClient, database: Database
    ) -> None:
        await set_up(scientist, body())
        await self.traffic(scientist)
        answer = await set_up(scientist, body("dataset_config.retention_days", 1000, version="2"))
        assert (answer.status_code, await self.days(database)) == (201, 1000)

    @pytest.mark.parametrize(("before", "after"), [(None, 3), (90, 3), (90, 900)])
    @pytest.mark.parametrize("version", ["1", "2"])
    async def test_a_retention_that_stands_is_another_only_by_who_may_purge(
        self,
        admin: httpx.AsyncClient,
        scientist: httpx.AsyncClient,
        database: Database,
        version: str,
        before: int | None,
        after: int,
    ) -> None:
        await set_up(scientist, body("dataset_config.retention_days", before))
        await self.traffic(scientist)
        restated = body("dataset_config.retention_days", after, version=version)
        refused = await set_up(scientist, restated)
        assert (refused.status_code, pointers(refused)) == (409, ["/dataset_config/retention_days"])
        assert await self.days(database) == (before or 730)
        taken = await set_up(admin, restated)
        assert (taken.status_code, taken.json()["dataset_config"]["retention_days"]) in ((200, after), (201, after))
        assert await self.days(database) == after
        told = {"version": version, "retention_days_before": before or 730, "retention_days": after}
        assert await self.details(admin) == told

    async def test_has_a_way_back_where_it_was_narrowed_and_a_repeated_setup_does_not_take_it(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        first, second = (body("dataset_config.retention_days", days, version=v) for days, v in ((730, "1"), (1, "2")))
        for request in (first, second):
            assert (await set_up(admin, request)).status_code == 201
        assert (await set_up(admin, first)).json()["outcome"] == "unchanged"
        assert await self.days(database) == 1
        back = await set_up(admin, body("dataset_config.retention_days", 730, version="2"))
        assert (back.status_code, back.json()["outcome"], await self.days(database)) == (200, "updated", 730)

    async def test_a_schema_is_declared_by_who_may_purge_and_grows_by_all(
        self, admin: httpx.AsyncClient, scientist: httpx.AsyncClient
    ) -> None:
        await set_up(scientist, body())
        await self.traffic(scientist)
        assert (await set_up(admin, body("dataset_config.schema", {"a": "number"}, version="2"))).status_code == 201
        assert await self.details(admin) == {"version": "2", "schema_before": "open", "schema": "a: number"}
        assert (await self.traffic(scientist)).status_code == 422
        grown = body("dataset_config.schema", {"a": "number", "b": "number"}, version="3")
        assert (await set_up(scientist, grown)).status_code == 201
        assert (await self.traffic(scientist)).status_code == 201
        assert (await self.details(admin))["schema"] == "a: number, b: number"

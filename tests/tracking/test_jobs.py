"""The jobs of tracking, asked for over HTTP and done by a worker."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FrozenClock, rfc3339
from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import NewJob
from app.jobs.run import Run
from app.models.catalogue import Catalogue
from app.tracking.erasing.purge import Purger
from app.tracking.tasks import CHECK, UPKEEP, tasks
from tests.support.http import Identities, bearer, client_of
from tests.support.jobs import ended, enqueue, working
from tests.support.models import make_model
from tests.support.tracking import label, rows_of, send, tracking

EVERYTHING = (
    "prediction", "block", "label", "label_waiting", "delta", "subject", "erased", "erasure", "rollup", "triangle",
    "feature_rollup", "fold_mark",
)  # fmt: skip


@pytest.fixture
async def worker(database: Database, clock: FrozenClock) -> AsyncIterator[None]:
    """Does the jobs of tracking; nothing comes due by itself."""
    asked = [replace(task, cron=None) for task in tasks(database, clock, Catalogue(database, 730))]
    async with working(database, *asked):
        yield


async def traffic(database: Database, clock: FrozenClock, model: str = "m1") -> None:
    service = tracking(database, clock)
    rows = [{"prediction_id": f"p{n}", "score": n / 10, "subject": f"s{n % 2}", "features": {"x": n}} for n in range(8)]
    await send(service, *rows, model=model)
    labels = [{"prediction_id": f"p{n}", "actual": "1"} for n in range(4)]
    await label(service, *labels, {"prediction_id": "early", "actual": "0"}, model=model)


async def follow(client: httpx.AsyncClient, started: httpx.Response) -> dict[str, Any]:
    assert started.status_code == 202, started.text
    body = started.json()
    assert set(body) == {"job_id", "status", "progress", "links"}
    async with asyncio.timeout(20):
        events = await client.get(f"http://test{body['links']['events']}")
    lines = [line for line in events.text.splitlines() if line.startswith("data: ")]
    return dict(json.loads(lines[-1].removeprefix("data: ")))


class TestRecounts:
    async def test_find_what_differs_and_mend_it(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None
    ) -> None:
        await make_model(database)
        await traffic(database, clock)
        await asyncio.sleep(1.2)  # until it is folded
        job = await follow(admin, await admin.post("/models/m1/recount", json={}))
        assert (job["status"], job["result"]["differences"]) == ("succeeded", 0)
        async with database.transaction() as connection:
            await connection.execute("update rollup set core = '' where grain = 3600")
        job = await follow(admin, await admin.post("/models/m1/recount", json={}))
        assert job["result"]["differences"] == 1
        assert job["result"]["first"][0]["table"] == "rollup"
        job = await follow(admin, await admin.post("/models/m1/recount", json={"mend": True}))
        assert job["result"]["mended"] is True
        job = await follow(admin, await admin.post("/models/m1/recount", json={}))
        assert job["result"]["differences"] == 0

    async def test_of_every_model_are_a_job_of_their_own(self, database: Database, worker: None) -> None:
        await make_model(database)
        await make_model(database, "m2")
        job = await ended(database, await enqueue(database, CHECK))
        assert job.result == {"models": 2, "differing": {}}

    async def test_of_no_model_are_none(self, admin: httpx.AsyncClient) -> None:
        assert (await admin.post("/models/none/recount", json={})).status_code == 404

    async def test_are_one_job_for_all_who_ask_at_once(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database)
        asked = [(await admin.post("/models/m1/recount", json={})).json()["job_id"] for _ in range(3)]
        assert len(set(asked)) == 1


class TestUpkeep:
    async def test_is_a_job(self, database: Database, clock: FrozenClock, worker: None) -> None:
        await make_model(database, retention_days=1)
        await traffic(database, clock)
        clock.advance(seconds=3 * 86_400)
        job = await ended(database, await enqueue(database, UPKEEP))
        assert job.result == {"expired_labels": {"m1": 1}}
        assert await rows_of(database, "prediction") == 0
        async with database.connection() as connection:
            assert await connection.fetchval("select to_regclass('block_20260311') is not null")


class TestPurgingSubjects:
    async def test_erases_their_rows_and_writes_no_name_down(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None
    ) -> None:
        await make_model(database)
        await traffic(database, clock)
        job = await follow(admin, await admin.post("/models/m1/purge", json={"subjects": ["s1"]}))
        assert (job["status"], job["result"]) == ("succeeded", {"rows": 4, "late_labels": 0})
        assert await rows_of(database, "subject") == 4
        async with database.connection() as connection:
            assert '"s1"' not in str(await connection.fetch("select * from job"))


class TestPurgingPredictions:
    """By id, for clients that send no subject."""

    @pytest.fixture
    async def tracked(self, database: Database, clock: FrozenClock) -> int:
        """Ten predictions without subjects, eight labelled a second later, and a label that waits; the moment after."""
        await make_model(database)
        service = tracking(database, clock)
        await send(service, *({"prediction_id": f"p{n}", "score": 0.9, "features": {"x": n}} for n in range(10)))
        clock.advance(seconds=1)
        await label(service, *({"prediction_id": f"p{n}", "actual": "01"[n < 6]} for n in range(8)))
        await label(service, {"prediction_id": "early", "actual": "0"})
        clock.advance(seconds=1800)
        return clock.now_us()

    async def trend(self, admin: httpx.AsyncClient, **query: str) -> tuple[int, int, float]:
        answer = await admin.get("/analytics/trends/m1", params={"metric": "accuracy"} | query)
        overall = answer.json()["overall"]
        return overall["n"], overall["labelled"], overall["value"]

    async def test_takes_them_out_of_what_is_known_now_and_leaves_what_was_known(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None, tracked: int
    ) -> None:
        then, before = rfc3339(tracked - 1), (10, 8, 0.75)
        assert await self.trend(admin) == before
        async with asyncio.timeout(20):
            while await self.trend(admin, as_of=then) != before:  # noqa: ASYNC110  until the horizon has come so far
                await asyncio.sleep(0.1)
        ids = ["p7", "p0", "p7", "p9", "never-sent", "early"]
        job = await follow(admin, await admin.post("/models/m1/purge", json={"prediction_ids": ids}))
        assert job["status"] == "succeeded"
        assert job["result"] == {"rows": 3, "late_labels": 0, "waiting_labels": 1, "unknown": 1}
        clock.advance(seconds=60)
        assert await self.trend(admin) == (7, 6, pytest.approx(5 / 6))
        assert await self.trend(admin, as_of=then) == before
        for name, status in (("p0", 404), ("p1", 200), ("p7", 404), ("p9", 404), ("early", 404)):
            assert (await admin.get(f"/models/m1/predictions/{name}")).status_code == status, name
        checked = await follow(admin, await admin.post("/models/m1/recount", json={}))
        assert checked["result"]["differences"] == 0

    async def test_refuses_them_should_they_come_again(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None, tracked: int
    ) -> None:
        await follow(admin, await admin.post("/models/m1/purge", json={"prediction_ids": ["p0", "early"]}))
        rows = [{"prediction_id": name, "score": 0.9} for name in ("p0", "fresh", "early")]
        answer = (await admin.post("/models/m1/predictions", json={"predictions": rows})).json()
        assert (answer["accepted"], answer["joined_labels"]) == (1, 0)
        assert [conflict["prediction_id"] for conflict in answer["conflicts"]] == ["p0", "early"]
        assert all("erased" in conflict["detail"] for conflict in answer["conflicts"])
        labels = [{"prediction_id": name, "actual": "1"} for name in ("p0", "early", "fresh")]
        answer = (await admin.post("/models/m1/labels", json={"labels": labels})).json()
        assert (answer["expired"], answer["joined"], answer["waiting"]) == (2, 1, 0)

    async def test_writes_no_id_down_and_tells_the_audit_who_asked(
        self, admin: httpx.AsyncClient, database: Database, worker: None, tracked: int
    ) -> None:
        ids = ["p3", "p4", "early", "never-sent"]
        await follow(admin, await admin.post("/models/m1/purge", json={"prediction_ids": ids}))
        async with database.connection() as connection:
            for table in ("job", "subject", "erased", "erasure", "audit", "prediction", "label_waiting"):
                held = str(await connection.fetch(f"select * from {table}"))
                assert not [name for name in ids if name in held], table
        assert await rows_of(database, "subject") == 0
        (row,) = (await admin.get("/audit", params={"action": "job.begin"})).json()["entries"]
        assert (row["object"], row["details"]["kind"]) == ("model:m1", "purge")

    async def test_of_ids_that_are_gone_counts_them_as_unknown(
        self, admin: httpx.AsyncClient, worker: None, tracked: int
    ) -> None:
        for rows, waiting, unknown in ((2, 1, 0), (0, 0, 3)):
            asked = await admin.post("/models/m1/purge", json={"prediction_ids": ["p1", "p2", "early"]})
            seen = {"rows": rows, "late_labels": 0, "waiting_labels": waiting, "unknown": unknown}
            assert (await follow(admin, asked))["result"] == seen

    async def test_takes_ids_of_every_form(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None
    ) -> None:
        """Keys hold short ids, UUIDs and long ids differently."""
        await make_model(database)
        ids = [
            "ö",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5D-AC96-774B-BCCE-B302099A8057",
            "x" * 100,
            "x" * 101,
        ]
        await send(tracking(database, clock), *({"prediction_id": name, "score": 0.5} for name in [*ids, "other"]))
        job = await follow(admin, await admin.post("/models/m1/purge", json={"prediction_ids": ids}))
        assert (job["result"]["rows"], job["result"]["unknown"]) == (5, 0)
        assert await rows_of(database, "prediction") == 1

    async def test_of_another_model_leaves_this_one_alone(
        self, admin: httpx.AsyncClient, database: Database, worker: None, tracked: int
    ) -> None:
        await make_model(database, "m2")
        job = await follow(admin, await admin.post("/models/m2/purge", json={"prediction_ids": ["p1", "early"]}))
        assert (job["result"]["rows"], job["result"]["waiting_labels"], job["result"]["unknown"]) == (0, 0, 2)
        assert await rows_of(database, "prediction") == 11

    async def test_is_undone_where_its_job_cannot_begin(
        self, admin: httpx.AsyncClient, database: Database, tracked: int
    ) -> None:
        async with database.connection() as connection:
            await connection.execute("alter table audit add constraint full_up check (id < 0) not valid")
        assert (await admin.post("/models/m1/purge", json={"prediction_ids": ["p1", "early"]})).status_code == 500
        assert [await rows_of(database, table) for table in ("label_waiting", "subject", "erased", "job")] == [
            1,
            0,
            0,
            0,
        ]

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ("", "empty"),
            ("x" * 129, "too_long"),
            ("a\u0001", "control_character"),
            ("a\n", "control_character"),
            (7, "string_type"),
            (None, "string_type"),
        ],
    )
    async def test_says_which_id_cannot_be_one(
        self, admin: httpx.AsyncClient, database: Database, tracked: int, wrong: object, code: str
    ) -> None:
        answer = await admin.post("/models/m1/purge", json={"prediction_ids": ["p1", wrong, "early"]})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
        (place,) = answer.json()["errors"]
        assert (place["pointer"], place["code"]) == ("/prediction_ids/1", code)
        assert [await rows_of(database, table) for table in ("job", "label_waiting")] == [0, 1]


class TestPurgingAModel:
    async def test_takes_everything_of_an_archived_one_and_nothing_of_others(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, worker: None
    ) -> None:
        for model in ("m1", "m2"):
            await make_model(database, model)
            await traffic(database, clock, model)
        await asyncio.sleep(1.2)  # until it is folded
        await follow(admin, await admin.post("/models/m1/purge", json={"subjects": ["s1"]}))
        await admin.delete("/models/m1")
        job = await follow(admin, await admin.post("/models/m1/purge", json={"everything_of": "m1"}))
        assert (job["status"], job["result"]) == ("succeeded", {"blocks": 1, "keys": 5})
        async with database.connection() as connection:
            numbers = [row[0] for row in await connection.fetch("select id from model order by model_id")]
            for table in EVERYTHING:
                if table not in ("prediction", "label"):  # those have no column of the model, or none that is indexed
                    left = await connection.fetchval(f"select count(*) from {table} where model_no = $1", numbers[0])
                    assert left == 0, table
            assert await connection.fetchval("select count(*) from rollup where model_no = $1", numbers[1]) > 0
        assert (await rows_of(database, "prediction"), await rows_of(database, "label")) == (9, 4)
        assert (await admin.get("/models/m1")).status_code == 200

    async def test_goes_on_after_a_kill_at_any_point(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        await traffic(database, clock)
        async with database.transaction() as connection:
            job = await repository.enqueue(connection, NewJob("purge", "test", {}, "m1"))
            claimed = await repository.claim(connection, job.id, 1, 1)
        assert claimed is not None
        await Purger(database)._slice(Run(database, claimed), facts)  # killed after the first slice
        assert [await rows_of(database, table) for table in ("block", "prediction")] == [0, 0]
        async with database.transaction() as connection:
            await repository.again(connection, claimed, wait_s=0.0, failures=1)
            second = await repository.claim(connection, job.id, 2, 1)
        assert second is not None
        assert await Purger(database).model(Run(database, second), facts) == {"blocks": 1, "keys": 9}
        assert [await rows_of(database, table) for table in EVERYTHING] == [0] * len(EVERYTHING)

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            ({"everything_of": "m1"}, 409, "model-not-archived"),
            ({"everything_of": "m2"}, 422, "invalid-request"),  # not what the address says
            ({}, 422, "invalid-request"),
            ({"subjects": [], "everything_of": None}, 422, "invalid-request"),
            ({"subjects": ["a"], "everything_of": "m1"}, 422, "invalid-request"),
            ({"subjects": ["a\u0000"]}, 422, "invalid-request"),
            ({"subjects": ["a"] * 1001}, 422, "invalid-request"),
            ({"prediction_ids": []}, 422, "invalid-request"),
            ({"prediction_ids": ["a"] * 1001}, 422, "invalid-request"),
            ({"prediction_ids": "a"}, 422, "invalid-request"),
            ({"prediction_ids": ["a"], "subjects": ["a"]}, 422, "invalid-request"),
            ({"prediction_ids": ["a"], "everything_of": "m1"}, 422, "invalid-request"),
        ],
    )
    async def test_is_refused_where_it_is_not_meant(
        self, admin: httpx.AsyncClient, database: Database, body: dict[str, Any], status: int, kind: str
    ) -> None:
        await make_model(database)
        answer = await admin.post("/models/m1/purge", json=body)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
        assert await rows_of(database, "job") == 0

    async def test_is_for_admins(self, app: FastAPI, identities: Identities, database: Database) -> None:
        await make_model(database)
        async with client_of(app, **bearer(await identities.user("team_lead"))) as lead:
            assert (await lead.post("/models/m1/purge", json={"subjects": ["a"]})).status_code == 403

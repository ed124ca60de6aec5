"""Jobs over HTTP: look, follow, cancel; who may."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.principal import Principal
from app.auth.scopes import SCOPES_OF, Role
from app.core.clock import FrozenClock
from app.core.settings import DatabaseSettings
from app.db.engine import Database
from app.jobs import repository
from app.jobs.feed import JobFeed
from app.jobs.health import judged
from app.jobs.job import NewJob
from app.jobs.repository import QueueState
from app.jobs.run import Run
from app.jobs.service import Jobs
from tests.support.http import Identities, bearer, client_of
from tests.support.proxy import proxied

ADMIN = Principal("user:0", "user", SCOPES_OF[Role.ADMIN])


@pytest.fixture
async def viewer(app: FastAPI, identities: Identities) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, **bearer(await identities.user(Role.VIEWER))) as client:
        yield client


async def make(database: Database, kind: str = "count", model_id: str | None = "m1", by: str = "user:0") -> int:
    async with database.transaction() as connection:
        return (await repository.enqueue(connection, NewJob(kind, by, {}, model_id))).id


async def begin(database: Database, job_id: int) -> Run:
    async with database.transaction() as connection:
        job = await repository.claim(connection, job_id, 1, 1)
    assert job is not None
    return Run(database, job)


class TestLooking:
    async def test_shows_all_of_a_job(self, admin: httpx.AsyncClient, database: Database) -> None:
        job_id = await make(database)
        run = await begin(database, job_id)
        await run.progress(0.25, "counting", "day 3")
        answer = await admin.get(f"/jobs/{job_id}")
        assert answer.status_code == 200
        job = answer.json()
        assert job["job_id"] == str(job_id)
        assert job["progress"] == {"fraction": 0.25, "stage": "counting", "message": "day 3"}
        assert job["links"] == {"self": f"/api/v1/jobs/{job_id}", "events": f"/api/v1/jobs/{job_id}/events"}
        assert (job["kind"], job["status"], job["attempt"], job["model_id"]) == ("count", "running", 1, "m1")
        assert job["result"] is job["error"] is job["finished_at"] is None

    async def test_lists_pages_from_the_newest(self, admin: httpx.AsyncClient, database: Database) -> None:
        made = [str(await make(database, kind)) for kind in ("count", "sweep", "count")]
        first = (await admin.get("/jobs", params={"limit": 2})).json()
        assert [job["job_id"] for job in first["jobs"]] == [made[2], made[1]]
        rest = (await admin.get("/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        assert ([job["job_id"] for job in rest["jobs"]], rest["next_cursor"]) == ([made[0]], None)
        kinds = (await admin.get("/jobs", params={"kind": "sweep", "status": "queued"})).json()
        assert [job["job_id"] for job in kinds["jobs"]] == [made[1]]
        assert (await admin.get("/jobs", params={"status": "failed"})).json()["jobs"] == []

    @pytest.mark.parametrize("job_id", ["99", "0", "none", "9223372036854775808"])
    async def test_of_what_is_none_answers_404_or_names_the_place(self, admin: httpx.AsyncClient, job_id: str) -> None:
        answer = await admin.get(f"/jobs/{job_id}")
        assert answer.status_code == (404 if job_id == "99" else 422)


class TestWhoMaySee:
    async def test_jobs_of_no_model_need_a_right(self, viewer: httpx.AsyncClient, database: Database) -> None:
        upkeep, mine = await make(database, model_id=None), await make(database)
        assert (await viewer.get(f"/jobs/{upkeep}")).status_code == 404
        assert (await viewer.get(f"/jobs/{upkeep}/events")).status_code == 404
        assert [job["job_id"] for job in (await viewer.get("/jobs")).json()["jobs"]] == [str(mine)]

    async def test_a_key_sees_the_jobs_of_its_models(
        self, app: FastAPI, identities: Identities, database: Database
    ) -> None:
        other, mine = await make(database, model_id="m2"), await make(database)
        async with client_of(app, **bearer(await identities.key("models:read", models=["m1"]))) as key:
            assert (await key.get(f"/jobs/{other}")).status_code == 404
            assert [job["job_id"] for job in (await key.get("/jobs")).json()["jobs"]] == [str(mine)]


class TestCancelling:
    async def test_ends_a_queued_job_at_once(self, admin: httpx.AsyncClient, database: Database) -> None:
        answer = await admin.delete(f"/jobs/{await make(database)}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.json()["finished_at"] is not None

    async def test_asks_a_running_job_to_end(self, admin: httpx.AsyncClient, database: Database) -> None:
        job_id = await make(database)
        await begin(database, job_id)
        job = (await admin.delete(f"/jobs/{job_id}")).json()
        assert (job["status"], job["cancel_requested"]) == ("running", True)

    async def test_forgets_the_error_of_an_attempt_that_failed(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        job_id = await make(database)
        run = await begin(database, job_id)
        async with database.transaction() as connection:
            await repository.again(connection, run.job, wait_s=60.0, error={"status": 500}, failures=1)
        assert (await admin.get(f"/jobs/{job_id}")).json()["error"] == {"status": 500}
        job = (await admin.delete(f"/jobs/{job_id}")).json()
        assert (job["status"], job["error"]) == ("cancelled", None)

    @pytest.mark.parametrize(
        ("status", "said"),
        [("cancelled", "was cancelled"), ("succeeded", "has succeeded"), ("failed", "has failed")],
    )
    async def test_of_one_that_has_ended_is_refused(
        self, admin: httpx.AsyncClient, database: Database, status: str, said: str
    ) -> None:
        job_id = await make(database)
        async with database.connection() as connection:
            await connection.execute("update job set status = $1", status)
        answer = await admin.delete(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/job-ended")
        assert (answer.json()["detail"], answer.json()["job_status"]) == (f"job {job_id} {said} already", status)

    async def test_is_for_who_began_it_and_for_operators(
        self, app: FastAPI, identities: Identities, viewer: httpx.AsyncClient, database: Database
    ) -> None:
        assert (await viewer.delete(f"/jobs/{await make(database)}")).status_code == 403
        async with client_of(app, **bearer(await identities.user(Role.ML_ENGINEER))) as engineer:
            me = (await engineer.get("/auth/me")).json()
            job_id = await make(database, by=me["subject"])
            assert (await engineer.delete(f"/jobs/{job_id}")).status_code == 200


def read(event: bytes) -> tuple[int, str, dict[str, Any]]:
    lines = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    return int(lines["id"]), lines["event"], json.loads(lines["data"])


class TestFollowing:
    @pytest.fixture
    async def feed(self, app: FastAPI, database: Database) -> JobFeed:
        found: JobFeed = app.state.services[JobFeed]
        async with asyncio.timeout(5), database.connection() as connection:
            listens = "select exists (select from pg_stat_activity where query = 'LISTEN \"assay_jobs\"')"
            while not await connection.fetchval(listens):  # noqa: ASYNC110  the database is asked
                await asyncio.sleep(0.02)
        return found

    async def test_hears_every_change_until_the_end(self, feed: JobFeed, database: Database) -> None:
        job_id = await make(database)
        events = await feed.events(job_id, 0, principal=ADMIN)
        assert await anext(events) == b"retry: 1000\n\n"
        heard = [read(await anext(events))]
        run = await begin(database, job_id)
        heard.append(read(await asyncio.wait_for(anext(events), 2)))
        await run.progress(0.5, "half")
        heard.append(read(await asyncio.wait_for(anext(events), 2)))
        async with database.transaction() as connection:
            await run.finish(connection, {"n": 1})
        heard.append(read(await asyncio.wait_for(anext(events), 2)))
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert [kind for _, kind, _ in heard] == ["job", "job", "job", "end"]
        assert [job["status"] for _, _, job in heard] == ["queued", "running", "running", "succeeded"]
        assert [job["progress"]["fraction"] for _, _, job in heard] == [0, 0, 0.5, 1]
        assert [number for number, _, _ in heard] == [1, 2, 3, 4]

    async def test_goes_on_after_the_last_event_seen(self, feed: JobFeed, database: Database) -> None:
        job_id = await make(database)
        run = await begin(database, job_id)
        events = await feed.events(job_id, run.job.revision, principal=ADMIN)
        await anext(events)
        following = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        assert not following.done()
        await run.progress(0.5, "half")
        assert read(await asyncio.wait_for(following, 2))[0] == run.job.revision + 1

    async def test_over_http_ends_with_the_job(self, admin: httpx.AsyncClient, database: Database) -> None:
        job_id = await make(database)
        await admin.delete(f"/jobs/{job_id}")
        answer = await admin.get(f"/jobs/{job_id}/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        number, kind, job = read(answer.content.split(b"\n\n")[1])
        assert (kind, job["status"]) == ("end", "cancelled")
        again = await admin.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(number)})
        assert again.content == answer.content  # whoever lost the end comes again until it has it

    @pytest.mark.parametrize(("seen", "status"), [("", 200), ("9", 200), ("x", 422), ("-1", 422)])
    async def test_tells_the_end_whatever_was_seen(
        self, admin: httpx.AsyncClient, database: Database, seen: str, status: int
    ) -> None:
        job_id = await make(database)
        await admin.delete(f"/jobs/{job_id}")
        answer = await admin.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": seen})
        assert (answer.status_code, answer.text.count("event: end")) == (status, int(status == 200))

    @pytest.mark.parametrize("fault", ["frozen", "cut"])
    async def test_outlives_a_database_that_is_away(
        self, database: Database, database_url: str, clock: FrozenClock, fault: str
    ) -> None:
        async with proxied(database_url) as proxy:
            away = Database(proxy.url, DatabaseSettings(command_timeout_s=0.3, pool_timeout_s=0.3))
            await away.open()
            job_id = await make(database)
            events = await JobFeed(away, Jobs(away, clock), heartbeat_s=0.1).events(job_id, 0, principal=ADMIN)
            heard = [await anext(events) for _ in range(2)]
            proxy.freeze() if fault == "frozen" else await proxy.cut()
            heard = [await asyncio.wait_for(anext(events), 5) for _ in range(3)]
            assert heard == [b": heartbeat\n\n"] * 3
            async with database.transaction() as connection:
                await repository.cancel_queued(connection, job_id)
            proxy.thaw() if fault == "frozen" else await proxy.start()
            async with asyncio.timeout(10):
                heard = [event async for event in events if event != b": heartbeat\n\n"]
            assert [read(event)[1] for event in heard] == ["end"]
            await away.close()

    async def test_ends_when_the_server_does(self, feed: JobFeed, database: Database) -> None:
        events = await feed.events(await make(database), 0, principal=ADMIN)
        for _ in range(2):
            await anext(events)
        feed.leave()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(events), 2)


class TestHealth:
    @pytest.mark.parametrize(
        ("workers", "waited_s", "up_s", "status"),
        [
            (1, 0.0, 99.0, "healthy"),
            (0, 0.0, 3.0, "healthy"),  # one may be starting
            (0, 0.0, 99.0, "degraded"),
            (2, 61.0, 99.0, "degraded"),
        ],
    )
    def test_says_whether_jobs_get_their_turn(self, workers: int, waited_s: float, up_s: float, status: str) -> None:
        assert judged(QueueState(workers, 0, 0, waited_s), up_s=up_s).status == status

    async def test_counts_the_workers_that_are_alive(self, database: Database) -> None:
        async with database.connection() as connection:
            for _ in range(3):
                await connection.execute("select procrastinate_register_worker_v1()")
            await connection.execute(
                "update procrastinate_workers set last_heartbeat = now() - interval '1 minute' where id = 2"
            )
            assert (await repository.state(connection, 30.0)).workers == 2
        await make(database)
        async with database.connection() as connection:
            await connection.execute("update job set due_at = now() - interval '70 s'")
            state = await repository.state(connection, 30.0)
        assert (state.due, round(state.waited_s)) == (1, 70)

    async def test_is_part_of_the_report(self, admin: httpx.AsyncClient) -> None:
        async with asyncio.timeout(5):
            while "jobs" not in (report := (await admin.get("/system/health")).json()["components"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert report["jobs"]["detail"].startswith("0 workers, 0 jobs running, 0 waiting")

"""`assay worker`, and the worker beside a server."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from app.tracking.erasing.service import KIND as PURGE
from app.tracking.rollups.service import RECOUNT
from app.tracking.tasks import UPKEEP
from tests.cli.running import EMAIL, PASSWORD, Running, alive, completed, free_port
from tests.support.collector import Span, collecting
from tests.support.http import Identities, bearer, client_of, running
from tests.support.jobs import ended, enqueue
from tests.support.models import make_model

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"
ADMIN = {"ASSAY_ADMIN_EMAIL": EMAIL, "ASSAY_ADMIN_PASSWORD": PASSWORD, "ASSAY_LIMITS__ENABLED": "false"}


def token_of(command: Running) -> str:
    form = {"username": EMAIL, "password": PASSWORD}
    return str(httpx.post(f"{command.url}/api/v1/auth/token", data=form, timeout=30).json()["access_token"])


def jobs_health(command: Running, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    components = httpx.get(f"{command.url}/api/v1/system/health", headers=headers, timeout=30).json()["components"]
    return str(components["jobs"]["detail"])


def workers_of(parent: int) -> list[int]:
    """Processes of `parent` that are workers."""
    lists = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    children = [int(pid) for pids in lists for pid in pids]
    return [pid for pid in children if b"\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


class TestBesideAServer:
    def test_takes_jobs_comes_back_when_it_dies_and_ends_with_it(self, folder: Path) -> None:
        with Running(folder, "run", "--no-demo", **ADMIN) as command:
            command.wait_until_ready()
            command.wait_for(lambda: workers_of(command.process.pid))
            (first,) = workers_of(command.process.pid)
            os.kill(first, signal.SIGKILL)
            command.wait_for(lambda: set(workers_of(command.process.pid)) - {first})
            (second,) = workers_of(command.process.pid)
            token = token_of(command)
            command.wait_for(lambda: jobs_health(command, token).startswith("1 workers"))
            assert command.end() == 0
            assert not alive(second)

    async def test_ends_when_the_server_was_killed(self, folder: Path, database_url: str) -> None:
        settings = {"ASSAY_DATABASE__URL": database_url, "ASSAY_JOBS__WORKER": "true"}
        with Running(folder, "serve", "--no-migrate", **settings) as command:
            await asyncio.to_thread(command.wait_for, lambda: workers_of(command.process.pid))
            (worker,) = workers_of(command.process.pid)
            await asyncio.sleep(0.5)
            command.process.kill()
            command.process.wait()
            async with asyncio.timeout(30):
                while alive(worker):  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.05)


class TestAlone:
    async def test_does_jobs_and_ends_in_order(self, folder: Path, database: Database) -> None:
        with Running(folder, "worker", "--concurrency", "1", ASSAY_DATABASE__URL=database.url) as worker:
            await asyncio.to_thread(worker.wait_for, lambda: "the worker takes jobs" in worker.output())
            job = await ended(database, await enqueue(database, UPKEEP))
            assert job.status == "succeeded"
            assert await asyncio.to_thread(worker.end) == 0
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from procrastinate_workers") == 0


def scrape(url: str, **headers: str) -> dict[tuple[str, ...], float]:
    """Samples by name and by the values of their labels."""
    answer = httpx.get(url, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def status(url: str, **headers: str) -> int:
    return httpx.get(url, headers=headers, timeout=30).status_code


class TestMetrics:
    async def test_are_told_on_a_port_of_their_own(self, folder: Path, database: Database) -> None:
        port = free_port()
        url, token = f"http://127.0.0.1:{port}/metrics", {"Authorization": "Bearer of-the-scraper"}
        settings = {
            "ASSAY_DATABASE__URL": database.url,
            "ASSAY_METRICS__WORKER_PORT": str(port),
            "ASSAY_METRICS__TOKEN": "of-the-scraper",
        }
        with Running(folder, "worker", **settings) as worker:
            await asyncio.to_thread(worker.wait_for, lambda: "the worker takes jobs" in worker.output())
            assert scrape(url, **token)["assay_jobs_ended_total", PURGE, "failed"] == 0
            done, refused = await enqueue(database, UPKEEP), await enqueue(database, PURGE, subjects=[])
            assert (await ended(database, done)).status == "succeeded"
            assert (await ended(database, refused)).status == "failed"  # of no model
            await asyncio.to_thread(
                worker.wait_for, lambda: scrape(url, **token)["assay_jobs_ended_total", PURGE, "failed"]
            )
            told = scrape(url, **token)
            assert told["assay_jobs_started_total", PURGE] == told["assay_job_duration_seconds_count", PURGE] == 1
            assert told["assay_jobs_ended_total", UPKEEP, "succeeded"] >= 1  # it came due by itself, too
            assert told["assay_jobs_rescued_total",] == 0
            await asyncio.to_thread(worker.wait_for, lambda: ("assay_jobs_waiting", "assay") in scrape(url, **token))
            assert status(url) == 401
            assert status(url, Authorization="Bearer wrong") == 401
            assert status(url.replace("metrics", "docs"), **token) == 404
            assert await asyncio.to_thread(worker.end) == 0

    def test_need_a_port_that_is_free(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = completed(folder, "worker", ASSAY_METRICS__WORKER_PORT=str(port), ASSAY_DATABASE__URL=NOWHERE)
        assert done.returncode == 1
        assert f"port {port}, for metrics" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param(("run", "--no-demo"), marks=pytest.mark.long),
            ("serve", "--worker", "--workers", "2"),
        ],
    )
    def test_of_a_worker_beside_a_server_are_told_by_that(self, folder: Path, arguments: tuple[str, ...]) -> None:
        port = free_port()
        with Running(folder, *arguments, **ADMIN, ASSAY_METRICS__WORKER_PORT=str(port)) as command:
            command.wait_until_ready()
            done = ("assay_jobs_ended_total", UPKEEP, "succeeded")
            command.wait_for(lambda: scrape(f"{command.url}/metrics").get(done))
            told = scrape(f"{command.url}/metrics")
            assert 1 <= told[done] <= told["assay_jobs_started_total", UPKEEP] <= 2  # it comes due each hour
            assert told["assay_component_up", "database"] == 1
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/metrics")


PARENT = "0af7651916cd43dd8448eb211c80319c"


class TestSpans:
    async def test_of_a_job_goes_on_from_the_request_that_began_it(
        self, folder: Path, database: Database, settings: Settings
    ) -> None:
        await make_model(database)
        with collecting() as collector:
            telemetry = settings.telemetry.model_copy(update={"otlp_endpoint": collector.endpoint})
            async with running(create_app(settings.model_copy(update={"telemetry": telemetry}))) as app:
                token = bearer(await Identities(app).user("admin"))
                async with client_of(app, **token) as client:
                    traced = {"traceparent": f"00-{PARENT}-b7ad6b7169203331-01"}
                    begun = await client.post("/models/m1/recount", json={}, headers=traced)
                    assert begun.status_code == 202
            collectors = {"ASSAY_TELEMETRY__OTLP_ENDPOINT": collector.endpoint}
            with Running(folder, "worker", ASSAY_DATABASE__URL=database.url, **collectors) as worker:
                job = await ended(database, int(begun.json()["job_id"]))
                await ended(database, await enqueue(database, UPKEEP))
                assert await asyncio.to_thread(worker.end) == 0
            (request,) = collector.named("POST /api/v1/models/{model_id}/recount")
            (span,) = collector.named(f"job {RECOUNT}")
        assert (span.trace_id, span.parent_id) == (PARENT, request.span_id)
        assert span.attributes == {
            "assay.job_id": job.id,
            "assay.attempt": 1,
            "assay.model_id": "m1",
            "assay.outcome": "succeeded",
        }
        assert "database connection" in below(collector.spans, span)
        upkeep = collector.named(f"job {UPKEEP}")
        assert upkeep
        assert all(each.trace_id != PARENT and each.parent_id == "" for each in upkeep)  # no request began it


def below(spans: list[Span], parent: Span) -> list[str]:
    return [span.name for span in spans if span.parent_id == parent.span_id]


class TestSettings:
    @pytest.mark.parametrize("jobs", [{"stalled_s": 15}, {"concurrency": 0}, {"heartbeat_s": 20}])
    def test_that_would_lose_live_workers_or_do_nothing_are_refused(self, jobs: dict[str, int]) -> None:
        with pytest.raises(ValidationError, match=next(iter(jobs)) + "|STALLED_S"):
            Settings(_env_file=None, jobs=jobs)

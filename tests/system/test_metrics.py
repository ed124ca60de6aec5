"""`/metrics`: Prometheus' text, guarded where a token is set, right for several processes."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pydantic import SecretStr

from app.core import shared_metrics, telemetry
from app.core.allocated import SMALLEST
from app.core.clock import FrozenClock
from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from tests.cli.running import clean_environment
from tests.support.disk import FILLER, fill, small_disk
from tests.support.http import bearer, client_of, running

METRICS = "http://test/metrics"

COUNTING = """
import pathlib, sys
from app.core import telemetry
for also in sys.argv[2:]:
    telemetry.tell_also(pathlib.Path(also))
for _ in range(int(sys.argv[1])):
    telemetry.answered("GET", "/x", 200, 0.01)
    telemetry.IN_PROGRESS.inc()
for routes in sys.stdin:
    for number in range(int(routes)):
        telemetry.answered("GET", f"/{number}", 200, 0.01)
    print(telemetry.exposition().decode(), end="end\\n", flush=True)
"""
MANY = 500  # routes: more than the files have room for as they begin


class TestMetrics:
    async def test_is_what_prometheus_reads(self, client: httpx.AsyncClient) -> None:
        await client.get("/auth/me")
        answer = await client.get(METRICS)
        assert answer.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert {"assay_http_requests", "assay_http_request_duration_seconds", "assay_component_up"} <= set(families)
        counted = {sample.labels["route"] for sample in families["assay_http_requests"].samples}
        assert "/api/v1/auth/me" in counted

    async def test_takes_its_token_where_one_is_set(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        metrics = settings.metrics.model_copy(update={"token": SecretStr("of-the-scraper")})
        app = create_app(settings.model_copy(update={"metrics": metrics}), clock=clock, database=database)
        async with running(app), client_of(app) as client:
            assert (await client.get(METRICS)).status_code == 401
            assert (await client.get(METRICS, headers=bearer("wrong"))).status_code == 401
            assert (await client.get(METRICS, headers=bearer("of-the-scraper"))).status_code == 200
            for scheme, status in (("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)):
                header = {"Authorization": f"{scheme} of-the-scraper"}
                assert (await client.get(METRICS, headers=header)).status_code == status

    @pytest.mark.parametrize(("token", "status"), [("of-the-scraper", 200), (None, 400)])
    async def test_needs_no_name_where_it_has_a_token(
        self, settings: Settings, clock: FrozenClock, database: Database, token: str | None, status: int
    ) -> None:
        """Prometheus asks a pod by its address; without a token a page of somebody else's must not read it."""
        metrics = settings.metrics.model_copy(update={"token": None if token is None else SecretStr(token)})
        http = settings.http.model_copy(update={"trusted_hosts": ("test",)})
        app = create_app(settings.model_copy(update={"metrics": metrics, "http": http}), clock=clock, database=database)
        by_address = {"Host": "10.0.0.7:8080"}
        async with running(app), client_of(app) as client:
            asked = await client.get(METRICS, headers=bearer("of-the-scraper") | by_address)
            assert asked.status_code == status
            assert (await client.get(METRICS, headers=by_address)).status_code == (401 if token else 400)
            assert (await client.get("/auth/me", headers=by_address)).status_code == 400


class TestSeveralProcesses:
    """Each writes files of its own into one folder, numbered by who lives."""

    def test_add_up(self, tmp_path: Path) -> None:
        with counting(tmp_path, 3) as first, counting(tmp_path, 4) as second:
            assert total(first.told()) == total(second.told()) == 7
            assert value(first.told(), "assay_http_requests_in_progress") == 7

    def test_a_dead_one_keeps_its_totals_and_loses_its_gauges(self, tmp_path: Path) -> None:
        with counting(tmp_path, 3) as first, counting(tmp_path, 4) as second:
            first.process.kill()
            first.process.wait()
            assert total(second.told()) == 7
            assert value(second.told(), "assay_http_requests_in_progress") == 4

    def test_who_comes_after_takes_the_files_over(self, tmp_path: Path) -> None:
        files = set()
        for round_ in range(1, 4):
            with counting(tmp_path, 5) as process:
                assert total(process.told()) == 5 * round_
                assert value(process.told(), "assay_http_requests_in_progress") == 5
                process.process.kill()
            files.add(len([*tmp_path.glob("*.db")]))
        assert len(files) == 1

    def test_one_that_counts_in_memory_adds_those_of_a_folder(self, tmp_path: Path) -> None:
        with counting(tmp_path, 3), counting(None, 4, also=tmp_path) as alone:
            told = alone.told()
        assert total(told) == 7
        seconds = {sample.name: sample.value for sample in told["assay_http_request_duration_seconds"]}
        assert seconds["assay_http_request_duration_seconds_count"] == 7
        assert value(told, "assay_http_requests_in_progress") == 4  # of others it tells no gauge that it has itself
        assert value(told, "process_start_time_seconds") > 0

    def test_a_new_run_counts_from_nothing_and_leaves_those_that_live(self, tmp_path: Path) -> None:
        with counting(tmp_path, 3) as gone, counting(tmp_path, 4) as living:
            gone.process.kill()
            gone.process.wait()
            shared_metrics.empty(tmp_path)
            assert total(living.told()) == 4

    def test_that_each_start_others_have_a_folder_each(self, tmp_path: Path) -> None:
        """What one of them counted neither goes when another ends or starts, nor is told by it."""
        with starting(tmp_path) as first, starting(tmp_path) as second:
            assert first != second
            with counting(first, 3) as living:
                (second / "counter_0.db").touch()
                with starting(tmp_path) as third:
                    assert third not in (first, second)
                assert total(living.told()) == 3
        with starting(tmp_path) as again, starting(tmp_path) as once_more:
            assert [again, once_more] == [first, second]
            assert not [*tmp_path.glob("*/*.db")]


class TestOnAFullDisk:
    """Their files are mapped: a page that finds no room would end the process by SIGBUS."""

    def test_what_finds_no_room_is_told_when_there_is(self, folder: Path) -> None:
        with small_disk(folder, 1) as disk, counting(disk, 3) as process:
            fill(disk)
            during = process.told(MANY)
            assert 3 <= total(during) < 3 + MANY
            with counting(disk, 4) as another:  # its files would be new
                assert total(another.told(MANY)) == total(during)
            (disk / FILLER).unlink()
            process.told(MANY + 1)
            assert total(process.told(MANY)) == 3 + MANY + MANY + 1 + MANY

    def test_who_comes_after_goes_on(self, folder: Path) -> None:
        with small_disk(folder, 1) as disk:
            with counting(disk, 3) as process:
                process.process.kill()
            fill(disk)
            with counting(disk, 4) as process:
                assert total(process.told(MANY)) >= 3 + 4

    def test_a_file_with_holes_is_filled(self, folder: Path) -> None:
        """As one that older code has begun, where all count into a folder that is given."""
        with small_disk(folder, 1) as disk:
            with (disk / "counter_0.db").open("wb") as file:
                file.truncate(SMALLEST)
            with counting(disk, 3) as process:
                fill(disk)
                assert total(process.told(MANY)) >= 3


STARTING = """
import pathlib, sys
from app.core import shared_metrics
print(shared_metrics.own_folder(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def starting(among: Path) -> Iterator[Path]:
    """The folder of a process that lives as long as the block, for what it starts to count."""
    command = [sys.executable, "-c", STARTING, str(among)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().rstrip())
        process.kill()


@dataclass(frozen=True, slots=True)
class Counting:
    process: subprocess.Popen[str]

    def told(self, routes: int = 0) -> dict[str, list[Sample]]:
        """What this process says when it is asked, having counted a request more of each of so many routes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{routes}\n")
        self.process.stdin.flush()
        text = ""
        while not text.endswith("end\n"):
            text += self.process.stdout.readline() or self._ended()
        text = text.removesuffix("end\n")
        return {family.name: family.samples for family in text_string_to_metric_families(text)}

    def _ended(self) -> NoReturn:
        raise AssertionError(f"ended by {self.process.wait()}")


@contextlib.contextmanager
def counting(folder: Path | None, times: int, also: Path | None = None) -> Iterator[Counting]:
    """A process that has counted so often, into the folder or in memory, and lives as long as the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(times), *([str(also)] if also else [])],
        env=clean_environment(**({"PROMETHEUS_MULTIPROC_DIR": str(folder)} if folder else {})),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        made = Counting(process)
        made.told()
        yield made
        process.kill()


def value(told: dict[str, list[Sample]], name: str) -> float:
    (sample,) = told[name]
    return sample.value


def total(told: dict[str, list[Sample]]) -> float:
    return sum(sample.value for sample in told["assay_http_requests"] if sample.name.endswith("_total"))


def test_labels_are_of_a_closed_list() -> None:
    used = {label for metric in vars(telemetry).values() for label in getattr(metric, "_labelnames", ())}
    assert used == {"model_id", "route", "status", "method", "outcome", "kind", "limit", "component", "queue"}

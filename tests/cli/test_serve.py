"""`assay serve`: quick to be ready, several workers as quick as one, no orphans."""

import os
import signal
import time
from pathlib import Path

import httpx

from tests.cli.running import EMAIL, PASSWORD, Running, alive, completed


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def workers(pid: int) -> set[int]:
    """Children that run our code; the others are helpers of multiprocessing."""
    return {child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def resident_mb(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


class TestServe:
    def test_one_process_is_ready_soon_and_stays_small(self, tmp_path: Path, database_url: str) -> None:
        with Running(tmp_path, "serve", "--no-migrate", ASSAY_DATABASE__URL=database_url) as command:
            seconds = command.wait_until_ready()
            # The targets are 4 s and 200 MB on a quiet machine; twice the time where all tests run at once.
            assert seconds < 8
            assert resident_mb(command.process.pid) < 200
            answer = httpx.get(f"{command.url}/api/v1/system/health")
            assert "server" not in answer.headers
            assert not (command.data / "postgres").exists()
            assert command.end() == 0

    def test_several_workers_answer_without_a_stall(self, tmp_path: Path, database_url: str) -> None:
        with Running(tmp_path, "serve", "--workers", "2", ASSAY_DATABASE__URL=database_url) as command:
            command.wait_until_ready()
            command.wait_for(lambda: f"Assay answers on {command.url}" in command.output())
            assert len(workers(command.process.pid)) == 2
            with httpx.Client(base_url=command.url) as client:
                times = []
                for _ in range(30):
                    started = time.perf_counter()
                    assert client.get("/api/v1/system/health/live").status_code == 200
                    times.append(time.perf_counter() - started)
            # Without TCP_NODELAY on accepted sockets every answer takes 44 ms.
            assert sorted(times)[len(times) // 2] < 0.03

            assert "assay_http_requests_total" in httpx.get(f"{command.url}/metrics").text
            victim = min(workers(command.process.pid))
            os.kill(victim, signal.SIGKILL)
            command.wait_for(lambda: len(workers(command.process.pid) - {victim}) == 2)

            left = workers(command.process.pid)
            command.signal_group(signal.SIGTERM)
            assert command.process.wait(60) == 0
            assert not any(alive(worker) for worker in left)
            assert "Traceback" not in command.output()


class TestMigrate:
    def test_brings_an_embedded_database_up_to_date_and_ends_it(self, tmp_path: Path) -> None:
        done = completed(tmp_path, "migrate")
        assert done.returncode == 0, done.stderr
        assert "the schema is at revision" in done.stderr
        assert not (tmp_path / "data/postgres/postmaster.pid").exists()


class TestAccounts:
    def test_makes_lists_and_revokes_keys(self, tmp_path: Path, database_url: str) -> None:
        environment = {"ASSAY_DATABASE__URL": database_url}
        made = completed(tmp_path, "user", "create", EMAIL, "--role", "admin", **environment, ASSAY_NEW_PASSWORD=PASSWORD)
        assert made.returncode == 0, made.stderr
        assert PASSWORD not in made.stdout + made.stderr

        scopes = ("--scope", "predictions:write", "--scope", "labels:write")
        created = completed(tmp_path, "api-key", "create", "--name", "scorer", *scopes, "--model", "fraud", **environment)
        assert created.returncode == 0, created.stderr
        key = created.stdout.strip()
        assert key.startswith("aqt_")

        key_id = key.split("_")[1]
        listed = completed(tmp_path, "api-key", "list", **environment, COLUMNS="200").stdout
        assert key_id in listed
        assert key.split("_")[2] not in listed

        assert completed(tmp_path, "api-key", "revoke", key_id, **environment).returncode == 0
        twice = completed(tmp_path, "api-key", "revoke", key_id, **environment)
        assert twice.returncode == 1
        assert f"no active API key has the id {key_id}" in twice.stderr

    def test_a_scope_that_no_key_can_have_is_refused_with_those_it_can(self, tmp_path: Path) -> None:
        done = completed(tmp_path, "api-key", "create", "--name", "x", "--scope", "users:manage")
        assert done.returncode == 2
        assert "predictions:write" in done.stderr


class TestHelp:
    def test_stands_for_every_command_with_an_example(self, tmp_path: Path) -> None:
        assert completed(tmp_path, "--version").stdout.strip().count(".") == 2
        shown = completed(tmp_path, "import", "predictions", "--help").stdout
        assert "Examples: assay import predictions scored.csv --model fraud" in " ".join(shown.split())

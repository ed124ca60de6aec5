"""`assay run` from an empty folder: everything starts, is told, and ends without a trace."""

import re
import signal
from pathlib import Path

import httpx

from tests.cli.running import EMAIL, PASSWORD, Running, alive, completed


class TestRun:
    def test_starts_from_nothing_says_how_to_go_on_and_ends_clean(self, folder: Path) -> None:
        with Running(folder, "run", "--no-demo") as command:
            command.wait_until_ready()
            command.wait_for(lambda: "Ctrl-C ends it" in command.output())
            said = command.output()
            for address in ("/", "/docs", "/metrics"):
                assert f"{command.url}{address}\n" in said
            assert len(re.findall(r"^  curl ", said, re.M)) == 2
            assert "$(curl " in said

            password = re.search(r"password: (\S+)   \(shown this once\)", said)
            assert password is not None
            form = {"username": EMAIL, "password": password[1]}
            assert httpx.post(f"{command.url}/api/v1/auth/token", data=form).status_code == 200

            again = completed(folder, "run", "--no-demo", ASSAY_PORT=str(command.port))
            assert again.returncode == 1
            assert f"port {command.port}: Address already in use" in again.stderr
            assert "Traceback" not in again.stderr

            postmaster = command.postmaster()
            command.signal_group(signal.SIGTERM)
            assert command.process.wait(30) == 0
            assert not alive(postmaster)
            assert "Traceback" not in command.output()

        another = {"ASSAY_ADMIN_EMAIL": "second@example.com", "ASSAY_ADMIN_PASSWORD": PASSWORD}
        for given in ({}, another):
            with Running(folder, "run", "--no-demo", **given) as later:
                later.wait_until_ready()
                later.wait_for(lambda: "Ctrl-C ends it" in later.output())
                assert "shown this once" not in later.output()
                assert f"Log in as    {EMAIL}   with the password that its first start printed" in later.output()
                assert ("there is an admin already" in later.output()) == bool(given)
                postmaster = later.postmaster()
                later.signal_group(signal.SIGINT)
                assert later.process.wait(30) == 0
                assert not alive(postmaster)

    def test_a_signal_while_it_starts_leaves_no_database_behind(self, folder: Path) -> None:
        with Running(folder, "run", "--no-demo") as command:
            pid_file = command.data / "postgres/postmaster.pid"
            command.wait_for(lambda: pid_file.exists() and len(pid_file.read_text().splitlines()) > 1)
            postmaster = command.postmaster()
            assert command.end() == 0
            assert not alive(postmaster)

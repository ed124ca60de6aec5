"""The log: one line per event, whatever callers send."""

import json
import logging

import pytest
import structlog

from app.core import logs
from app.core.settings import LogSettings

HOSTILE = [
    "line\nbreak",
    "carriage\rreturn",
    "\x1b[31mred\x1b[0m",
    "\u2028 line separator",
    "\u2029 paragraph",
    "\x85 next line",
    "\ud800 half a pair",
    "\0 nul",
    '"},{"level":"critical"',
]


@pytest.fixture(autouse=True)
def configured() -> None:
    logs.configure(LogSettings(level="info"))


class TestLines:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_an_event_is_one_line(self, text: str, capfd: pytest.CaptureFixture[str]) -> None:
        structlog.get_logger().info("event", path=text)
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert json.loads(lines[0])["event"] == "event"

    @pytest.mark.parametrize("text", HOSTILE)
    def test_so_is_a_record_of_the_library(self, text: str) -> None:
        record = logging.LogRecord("app.x", logging.INFO, "", 0, "event %s", (text,), None)
        assert len(logs.JsonFormatter().format(record).splitlines()) == 1

    @pytest.mark.parametrize("name", ["password", "refresh_token", "Authorization", "client_secret", "cookie"])
    def test_hides_secrets(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        structlog.get_logger().info("event", **{name: "hunter2"})
        assert "hunter2" not in capfd.readouterr().err

    def test_below_the_level_nothing_is_written(self, capfd: pytest.CaptureFixture[str]) -> None:
        structlog.get_logger().debug("event")
        assert capfd.readouterr().err == ""

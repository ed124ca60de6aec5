"""`/metrics` on a port of its own."""

import http.client
import socket
import time

import pytest
from pydantic import SecretStr

from app.core.scraped import AT_ONCE, CannotListen, _Handler, scraped
from tests.cli.running import free_port


def ask(port: int, path: str = "/metrics", authorization: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Authorization": authorization})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_answers_while_the_block_lasts() -> None:
    port = free_port()
    with scraped("127.0.0.1", port, None):
        status, text = ask(port, "/metrics?name=x")
        assert (status, "assay_jobs_rescued_total" in text) == (200, True)
        assert ask(port, "/")[0] == 404
        with pytest.raises(CannotListen, match=str(port)), scraped("127.0.0.1", port, None):
            pass
    with pytest.raises(ConnectionRefusedError):
        ask(port)


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", "of-the-scraper", "Bearer \xe9", "Bearer of-the-scraper "]
)
def test_takes_no_other_token(given: str) -> None:
    port = free_port()
    with scraped("127.0.0.1", port, SecretStr("of-the-scraper")):
        status, text = ask(port, authorization=given)
        assert (status, "assay_" in text) == (401, False)
        assert ask(port, authorization="Bearer of-the-scraper")[0] == 200


def test_is_not_held_up_by_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "timeout", 1.0)
    port = free_port()
    with scraped("127.0.0.1", port, None):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE + 5)]
        time.sleep(0.2)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(port)  # closed unheard: a thread for each would be without end
        time.sleep(1.2)
        assert ask(port)[0] == 200
        for connection in silent:
            connection.close()

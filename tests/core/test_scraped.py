"""`/metrics` on a port of its own."""

import http.client
import socket
import time

import pytest
from pydantic import SecretStr

from app.core import scraped as module
from app.core.scraped import AT_ONCE, CannotListen, scraped
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


def test_head_is_the_head_of_get() -> None:
    port = free_port()
    with scraped("127.0.0.1", port, None):
        status, length, text = head(port, "/")
        assert (status, int(length), text) == (404, len(ask(port, "/")[1]), "")
        status, length, text = head(port, "/metrics")
        assert (status, int(length) > 1000, text) == (200, True, "")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"BREW /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET <b> <b> HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_it_does_not_do_is_said_in_plain_text(sent: bytes, status: int) -> None:
    port = free_port()
    with scraped("127.0.0.1", port, None), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Allow"] == ("GET, HEAD" if status == 405 else None)
        assert b"<" not in answer.read()


def test_is_not_held_up_by_those_who_drip() -> None:
    port = free_port()
    with scraped("127.0.0.1", port, None):
        dripping = [socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE + 5)]
        for _ in range(3):
            for connection in dripping[-AT_ONCE:]:
                connection.sendall(b"G")
                assert ask(port)[0] == 200  # the oldest gave way
            dripping += [socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE)]
        for connection in dripping:
            connection.close()


def test_hangs_up_on_who_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_S", 1.0)
    port = free_port()
    with scraped("127.0.0.1", port, None), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            drip(connection)
        assert 0.9 < time.monotonic() - begun < 4


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"G")
        time.sleep(0.1)


def head(port: int, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("HEAD", path)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Length"], answer.read().decode()

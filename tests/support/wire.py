"""A client that sends bytes as they are given, on one connection that it keeps; no library mends them on the way."""

import contextlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httptools

Header = tuple[bytes, bytes]


@dataclass
class Answer:
    """What came back; `status` 0 where the connection ended before a whole answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").split(";")[0]

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    def json(self) -> Any:
        return json.loads(self.body)


class _Reader:
    """Callbacks of the parser; `answers` grows by one for each whole answer, and `now` is the one that comes."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.now = Answer()
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.now.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.now.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.now.body += body

    def on_message_complete(self) -> None:
        if self.now.status >= 200:
            self.now.complete = True
            self.answers.append(self.now)
        self.now = Answer()


class Wire:
    """One connection. `ask` sends and waits for one answer; an event stream's answer is its head."""

    def __init__(self, port: int, *, timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = _Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def ask(self, raw: bytes) -> Answer:
        with contextlib.suppress(ConnectionError):  # it may answer and leave before it has read everything
            self.socket.sendall(raw)
        return self.answer()

    def answer(self) -> Answer:
        """The next answer; what has come of it where the connection ends first, or nothing comes in time."""
        while not self._reader.answers:
            if self._reader.now.status >= 200 and self._reader.now.kind == "text/event-stream":
                return self._reader.now
            try:
                data = self.socket.recv(65_536)
            except (ConnectionError, TimeoutError):
                data = b""
            if not data:
                return self._reader.now
            self._reader.parser.feed_data(data)
        return self._reader.answers.pop(0)


def request(method: str, target: str, headers: Sequence[Header] = (), body: bytes | None = None) -> bytes:
    """The bytes of a request; `content-length` is added where there is a body."""
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), *(name + b": " + value for name, value in headers)]
    if body is not None:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body or b""))

"""`/metrics` on a port of its own, for a process that answers nothing else: a worker.

From threads of its own, so that it is answered while the event loop is busy. It is for Prometheus on an inner network:
a handful of connections at once, of which the oldest gives way, and each for some seconds only. So who sends a byte now
and then keeps nobody out.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from pydantic import SecretStr

from app.core import telemetry

logger = logging.getLogger(__name__)

PATH = "/metrics"
WHOLE_S = 10.0  # from the connection to the end of the answer; Prometheus itself waits no longer
AT_ONCE = 8  # each holds a thread
TEXT = "text/plain; charset=utf-8"


class CannotListen(Exception):  # noqa: N818
    """The port is taken, or not ours to take; the message says which and why."""


@contextmanager
def scraped(host: str, port: int, token: SecretStr | None) -> Iterator[None]:
    """Answers for as long as the block lasts. Raises `CannotListen`."""
    with _listener(host, port, token) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown()


class _Listener(ThreadingTCPServer):  # not HTTPServer: that one asks DNS for a name of the address, and may wait
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 4 * AT_ONCE  # the kernel makes who finds no room there wait for a second
    block_on_close = False  # nobody's scrape keeps a worker from ending

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[socket.socket, float] = {}  # by age: when each came
        super().__init__(address, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if len(self._open) >= AT_ONCE:
            self._hang_up(next(iter(self._open.copy()), None))
        self._open[request] = time.monotonic()
        return True

    def service_actions(self) -> None:
        """Called twice a second."""
        for request, came in self._open.copy().items():
            if time.monotonic() - came > WHOLE_S:
                self._hang_up(request)

    def _hang_up(self, request: socket.socket | None) -> None:
        """Its thread finds nobody there, and ends."""
        if request is not None and self._open.pop(request, None) is not None:
            with suppress(OSError):  # it has just ended by itself
                request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a scrape was broken off: %r", sys.exc_info()[1])


def _listener(host: str, port: int, token: SecretStr | None) -> _Listener:
    class Handler(_Handler):
        wanted = token

    class Listener(_Listener):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        return Listener((host, port), Handler)
    except OSError as error:
        raise CannotListen(f"can't listen on {host}, port {port}, for metrics: {error.strerror}") from error


class _Handler(BaseHTTPRequestHandler):
    wanted: SecretStr | None = None
    server_version, sys_version = "assay", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._answer(404, f"only {PATH} is here\n".encode())
        elif not telemetry.admits(self.wanted, self.headers.get("Authorization", "")):
            self._answer(401, b"metrics need the token of ASSAY_METRICS__TOKEN\n")
        else:
            self._answer(200, telemetry.exposition(), telemetry.CONTENT_TYPE)

    do_HEAD = do_GET  # noqa: N815  the library's name

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses, which it would say in HTML."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._answer(status, f"{status.phrase}\n".encode())

    def _answer(self, status: int, body: bytes, content_type: str = TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        logger.debug(format, *args)

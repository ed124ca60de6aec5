"""A client's connection: uvicorn's, with bounds on what a client may hold, and with its refusals as problems.

uvicorn waits for a request's head for ever, keeps one of any size, goes on reading a body that was answered long ago,
forgets the time of an idle connection on which anything but a request comes, and holds an answer for as long as its
client does not read it. When it ends it cuts whatever connection has no request under way, also one that the kernel
took a moment ago and whose request is on its way; and so it does when the time of an idle connection runs out while a
busy loop has not read yet what has come.
"""

import asyncio
import enum
import secrets
import sys
from asyncio.events import TimerHandle
from fcntl import ioctl
from termios import FIONREAD
from typing import Any

from httptools import HttpParserInvalidMethodError, HttpParserInvalidURLError
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core import telemetry
from app.core.edge import UNMATCHED
from app.core.errors import Problem
from app.core.http import (
    MEDIA_TYPE,
    AddressTooLong,
    HeadTooLarge,
    HeadTooSlow,
    MalformedRequest,
    document,
    headers_of,
    without_memory,
)

# Of a head, or the trailer of a chunked body, that does not come in one read; browsers and proxies stay below 32 KiB.
MAX_HEAD_BYTES = 64 << 10
MAX_ADDRESS_BYTES = (64 << 10) - 1  # of one that comes in one read; the parser counts it in 16 bits
UNREAD_S = 30.0  # in that time a client takes as much of an answer as below, or is not there
TAKEN_BYTES = 16 << 10
READ_S = 0.5  # in that time the loop has read what had come
LULL_S = 1.0  # at the server's end: who has sent nothing for so long has nothing on its way


class BoundedConfig(Config):
    """uvicorn's, with the time a client may take for a head; pickled into workers with the rest.

    `leaving`: the server of this process takes no more connections, and ends those it has.
    """

    def __init__(self, app: Any, *, head_timeout_s: float, **options: Any) -> None:
        super().__init__(app, **options)
        self.head_timeout_s = head_timeout_s
        self.leaving = False


class _Part(enum.Enum):
    """What of a request the client is sending."""

    NOTHING = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


def _refusal(error: BaseException | None, address: bytes | None) -> Problem:
    """Why the parser takes no more, as far as it says so."""
    if len(address or b"") > MAX_ADDRESS_BYTES:
        return _too_large(address)
    if error is not None and isinstance(error.__context__, MemoryError):  # ours, while the parser gave us a piece
        return without_memory()
    if isinstance(error, HttpParserInvalidURLError):
        return MalformedRequest("the address holds a character that must be sent as %XX (RFC 3986)")
    if isinstance(error, HttpParserInvalidMethodError):
        return MalformedRequest("what came does not begin with a method of HTTP/1.1")
    return MalformedRequest("what came is not HTTP/1.1")


def _too_large(address: bytes | None) -> Problem:
    """The head; the address alone where that is it."""
    if len(address or b"") > MAX_ADDRESS_BYTES:
        return AddressTooLong(f"the address is longer than {MAX_ADDRESS_BYTES} bytes", limit_bytes=MAX_ADDRESS_BYTES)
    return HeadTooLarge(f"the head is larger than {MAX_HEAD_BYTES} bytes", limit_bytes=MAX_HEAD_BYTES)


class Connection(HttpToolsProtocol):
    """Costs a request that comes in one piece a few assignments; timers run only for those that don't."""

    config: BoundedConfig

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._part = _Part.NOTHING
        self._fed = False  # whether the last read held bytes of a body
        self._held = 0  # bytes since then, which the parser may keep
        self._timer: TimerHandle | None = None
        self._unread: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if self.config.leaving:  # it was taken just before the end, and the others were told already
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self._read()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends. A request under way is answered, and so is one that comes within the lull; with
        `connection: close`, so that the client knows where to send the next one."""
        self.config.leaving = True
        if self._idle:
            self._unset_keepalive_if_required()
            self.loop.call_later(LULL_S / 2, self._lull)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self._look, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._read()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self._part is _Part.HEAD:
            return  # it came while the request before it was answered, and has a time limit of its own
        if self._unread_bytes():
            self._rest()
            return
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # closing waits until it is read
            self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self._fed = False
        super().data_received(data)
        if self._part is not _Part.NOTHING:
            self._bound(len(data))
        elif self.cycle is not None:  # else line breaks came before a first request, which is still waited for
            self._held = 0
            self._wait_no_more()
            if self.cycle.response_complete:
                self._rest()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = _Part.HEAD

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._part = _Part.BODY
        if self.config.leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._fed = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._part = _Part.NOTHING

    def send_400_response(self, msg: str) -> None:
        del msg  # the same for everything that is wrong; the parser's error is at hand
        self._refuse(_refusal(sys.exception(), self.url))

    def _bound(self, received: int) -> None:
        """A request that is not complete: its head and trailer have a limit, and somebody waits for the rest."""
        self._held = 0 if self._fed else self._held + received
        if self._held > MAX_HEAD_BYTES:
            self._refuse(_too_large(self.url))
        elif self._part is _Part.HEAD or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()  # whoever reads the body has a time limit of its own

    @property
    def _idle(self) -> bool:
        """No request is under way; the head of one may be coming."""
        return self.cycle is None or self.cycle.response_complete

    def _rest(self) -> None:
        """Idle again, and no answer will say so: what came was the end of a body answered before, or line breaks."""
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unread_bytes(self) -> bool:
        """Whether the kernel holds what the loop was too busy to read; closing now would reset the connection, and a
        request that was sent in good time would be lost."""
        if self.transport.is_closing():
            return False
        return ioctl(self.transport.get_extra_info("socket").fileno(), FIONREAD, bytes(4)) != bytes(4)

    def _lull(self) -> None:
        """Half of it is over. A loop that was held up reads what has come meanwhile before the other half ends."""
        self.loop.call_later(LULL_S / 2, self._lulled)

    def _lulled(self, looked: bool = False) -> None:
        if not self._idle or self._part is _Part.HEAD:  # a head has its own time limit
            return
        if not looked and self._unread_bytes():
            self.loop.call_later(READ_S, self._lulled, True)
        else:
            self.transport.close()

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left > before - TAKEN_BYTES:
            self.transport.abort()
        else:
            self._unread = self.loop.call_later(UNREAD_S, self._look, left)

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.config.head_timeout_s, self._late)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self, looked: bool = False) -> None:
        self._timer = None
        if not self._idle:
            self._wait()  # the client waits for us, too
        elif not looked and self._unread_bytes():  # once: there are always some of a client that sends without end
            self._timer = self.loop.call_later(READ_S, self._late, True)
        elif self._part is _Part.HEAD:
            self._refuse(HeadTooSlow(f"the head took longer than {self.config.head_timeout_s:g} s"))
        else:
            self.transport.close()  # nothing came, or the rest of a body that was answered goes on and on

    def _refuse(self, problem: Problem) -> None:
        self._part = _Part.NOTHING
        self._wait_no_more()
        if self.transport.is_closing():
            return
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # half an answer is out; another one behind it would be taken for its rest
            return
        request_id = secrets.token_hex(12)
        body = document(problem, instance="/", request_id=request_id)
        lines = (
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            f"x-request-id: {request_id}",
            "cache-control: no-store",
            "connection: close",
            *(f"{name.lower()}: {value}" for name, value in headers_of(problem).items()),
        )
        self.transport.write(STATUS_LINE[problem.status] + "\r\n".join((*lines, "", "")).encode() + body)
        self.transport.close()
        telemetry.answered("-", UNMATCHED, problem.status, 0.0)

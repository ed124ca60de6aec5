"""One JSON object per line on standard error; the library's loggers and ours in one form."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from app.core.settings import LogSettings

# JSON leaves these as they are, though some readers take them for the end of a line
_LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
_SECRET = ("password", "secret", "token", "authorization", "cookie")
_OURS = ("app", "uvicorn")
Step = Callable[[EventDict], None]
_encoder = msgspec.json.Encoder(enc_hook=str)
_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


class _StandardError:
    """Writes a line with one system call, so that the lines of several processes never mix."""

    def msg(self, line: bytes) -> None:
        try:
            os.write(2, line + b"\n")
        except OSError:  # nobody reads our log any more; the work goes on
            return

    debug = info = warning = error = critical = exception = msg


def as_json(_logger: WrappedLogger, _name: str, event: EventDict) -> bytes:
    """The last step: one line, whatever the values contain."""
    for name in event:
        if _is_secret(name):
            event[name] = "***"
    try:
        line = _encoder.encode(event)
    except UnicodeEncodeError:  # a lone surrogate somewhere in a caller's text
        line = _encoder.encode({name: _printable(value) for name, value in event.items()})
    for raw, escaped in _LINE_ENDS:
        line = line.replace(raw, escaped)
    return line


def access_writer() -> Callable[[EventDict], None] | None:
    """What writes the line of a request: past the processors, which cost more than the rest of the edge together.

    None where the level lets no such line through.
    """
    root = structlog.get_logger().bind()
    if not root.is_enabled_for(logging.INFO):
        return None
    processors = structlog.get_config()["processors"]
    if processors[-1] is not as_json or any(isinstance(step, _Adding) for step in processors):
        return lambda event: root.info(**event)
    write = _StandardError().msg
    return lambda event: write(as_json(None, "", _stamp(None, "", {**event, "level": "info"})))


@dataclass(frozen=True, slots=True)
class _Adding:
    """A processor that lets `add` write into each event."""

    add: Step

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        self.add(event)
        return event


@lru_cache(maxsize=1024)  # the names are ours, and few
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET)


def _printable(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


class JsonFormatter(logging.Formatter):
    """The same line for records of the standard library."""

    def __init__(self, adding: Sequence[_Adding] = ()) -> None:
        super().__init__()
        self._adding = adding

    def format(self, record: logging.LogRecord) -> str:
        event: EventDict = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        for step in self._adding:
            step.add(event)
        return as_json(None, "", _stamp(None, "", event)).decode()


def configure(settings: LogSettings, *add: Step) -> None:
    """Sets both up; may be called again. Each `add` may write more into what is logged."""
    adding = [_Adding(step) for step in add]
    level = getattr(logging, settings.level.upper())
    console = settings.format == "console"
    last: list[Any] = [structlog.dev.ConsoleRenderer(colors=False)] if console else [as_json]
    structlog.configure(
        processors=[structlog.processors.add_log_level, _stamp, *adding, structlog.processors.format_exc_info, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=(lambda *_: structlog.PrintLogger()) if console else (lambda *_: _StandardError()),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if getattr(handler, "of_assay", False)]
    handler = handlers[0] if handlers else logging.StreamHandler()
    handler.of_assay = True  # type: ignore[attr-defined]
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s") if console else JsonFormatter(adding))
    if not handlers:
        root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))  # libraries speak up when something is wrong
    for name in _OURS:
        logging.getLogger(name).setLevel(level)

"""The database with a span for each piece of work that a traced request or job does on it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry import trace

from app.core.settings import DatabaseSettings
from app.core.spans import Spans
from app.db.engine import Database, ReadSession, Session


class TracedDatabase(Database):
    """A span lasts from asking the pool for a connection until its transaction has ended.

    What runs in the background has no request or job above it and makes none. Rows of several requests that share one
    transaction show it in the request that began it.
    """

    def __init__(self, url: str, settings: DatabaseSettings, tracer: trace.Tracer) -> None:
        super().__init__(url, settings)
        self._tracer = tracer

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        with self._span("database write"):
            async with super().write() as session:
                yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        with self._span("database read"):
            async with super().read() as session:
                yield session

    @asynccontextmanager
    async def connection(self, *, patient: bool = False) -> AsyncIterator[Any]:
        with self._span("database connection"):
            async with super().connection(patient=patient) as connection:
                yield connection

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        if not trace.get_current_span().is_recording():
            yield
            return
        # never the current one: a job that is enqueued in the transaction goes on from the request
        span = self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes={"db.system.name": "postgresql"})
        try:
            yield
        except Exception:
            span.set_status(trace.StatusCode.ERROR)  # and no text, which may hold what a caller sent
            raise
        finally:
            span.end()


def database_on(url: str, settings: DatabaseSettings, spans: Spans) -> Database:
    """The database of a process: traced where a collector gets its spans."""
    return TracedDatabase(url, settings, spans.tracer) if spans.on else Database(url, settings)

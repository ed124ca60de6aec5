"""Who makes spans, and how a trace goes on elsewhere: in the log, in a job. Knows no web, so workers load it too.

Off unless `ASSAY_TELEMETRY__OTLP_ENDPOINT` names a collector, and then none of this runs.
"""

import asyncio
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.settings import TelemetrySettings

NO_TRACER = trace.NoOpTracer()
_W3C = TraceContextTextMapPropagator()
_HEADER = "traceparent"


class Provider(Protocol):
    def get_tracer(self, name: str) -> trace.Tracer: ...

    def shutdown(self) -> None: ...


class Spans:
    """Whether there are spans, who makes them and how they end."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self._provider: Provider | None = None
        if settings.otlp_endpoint is not None:
            self._provider = import_module("app.core.otlp").provider(settings.otlp_endpoint, settings.sampled)

    @property
    def on(self) -> bool:
        return self._provider is not None

    @property
    def tracer(self) -> trace.Tracer:
        return NO_TRACER if self._provider is None else self._provider.get_tracer("assay")

    async def close(self) -> None:
        """Sends what is left."""
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)


def identified(event: MutableMapping[str, Any]) -> None:
    """Adds the current span's ids to what is logged, so that a line leads to its trace."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"


def traceparent() -> str | None:
    """The current span as another process can take it up (W3C Trace Context); None outside of one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(_HEADER)


def going_on(from_traceparent: str | None) -> Context:
    """Where a span begins that goes on from there; None: a trace of its own, whatever is current here."""
    return _W3C.extract({} if from_traceparent is None else {_HEADER: from_traceparent}, Context())

"""Spans of requests, transactions and folding, for a collector that speaks OpenTelemetry.

Off unless `ASSAY_TELEMETRY__OTLP_ENDPOINT` names one, and then none of this runs. FastAPI makes the span of a request
and reads `traceparent`; here it gets its name, since only the router knows the route's template.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from importlib import import_module
from typing import Any, Protocol

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.exchange import exchange_of
from app.core.settings import TelemetrySettings

NO_TRACER = trace.NoOpTracer()
_UNSPOKEN = ("/static/", "/metrics", "/api/v1/system/health")  # asked every few seconds, and nobody looks for them


class _Provider(Protocol):
    def get_tracer(self, name: str) -> trace.Tracer: ...

    def shutdown(self) -> None: ...


class Tracing:
    """Whether there are spans, who makes them and how they end."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self._provider: _Provider | None = None
        if settings.otlp_endpoint is not None:
            self._provider = import_module("app.core.otlp").provider(settings.otlp_endpoint, settings.sampled)

    @property
    def on(self) -> bool:
        return self._provider is not None

    @property
    def tracer(self) -> trace.Tracer:
        return NO_TRACER if self._provider is None else self._provider.get_tracer("assay")

    def of_requests(self) -> TelemetryConfig:
        """What FastAPI is told: a span a request, nothing else; without a collector nothing at all."""
        config: Any = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
        if self._provider is None:
            return config | {"tracing": False}  # type: ignore[no-any-return]
        return config | {"tracer_provider": self._provider, "exclude": _unspoken}  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Sends what is left."""
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)


class NamedSpans:
    """Gives the request's span the route's template and the request's id; stands around the edge."""

    def __init__(self, app: ASGIApp, *, route: Callable[[Scope], str]) -> None:
        self._app = app
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = trace.get_current_span()
        if scope["type"] != "http" or not span.is_recording():
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":  # later FastAPI has ended it
                exchange = exchange_of(scope)
                route = exchange.route or self._route(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.route": route, "assay.request_id": exchange.request_id})
                if exchange.principal is not None:
                    span.set_attribute("enduser.id", exchange.principal)
            await send(message)

        await self._app(scope, receive, named)


def identified(event: MutableMapping[str, Any]) -> None:
    """Adds the current span's ids to what is logged, so that a line leads to its trace."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"


def _unspoken(scope: Any) -> bool:
    return str(scope["path"]).startswith(_UNSPOKEN)

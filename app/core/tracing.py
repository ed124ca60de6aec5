"""Spans of requests, for a collector that speaks OpenTelemetry.

FastAPI makes the span of a request and reads `traceparent`; here it gets its name, since only the router knows the
route's template.
"""

from collections.abc import Callable
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.exchange import exchange_of
from app.core.spans import Spans

_UNSPOKEN = ("/static/", "/metrics", "/api/v1/system/health")  # asked every few seconds, and nobody looks for them


class Tracing(Spans):
    """The spans of a process that answers requests."""

    def of_requests(self) -> TelemetryConfig:
        """What FastAPI is told: a span a request, nothing else; without a collector nothing at all."""
        config: Any = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
        if self._provider is None:
            return config | {"tracing": False}  # type: ignore[no-any-return]
        return config | {"tracer_provider": self._provider, "exclude": _unspoken}  # type: ignore[no-any-return]


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


def _unspoken(scope: Any) -> bool:
    return str(scope["path"]).startswith(_UNSPOKEN)

"""One request and its answer, as the edge, the guards and the log see it; travels in the ASGI scope."""

from dataclasses import dataclass, field

from starlette.types import Scope

KEY = "assay"


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far; guards fill it in as they learn more."""

    request_id: str
    client: str  # the socket's peer, or whom a trusted proxy saw
    body_limit: int  # bytes; a guard raises it for batches
    batch_limit: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # sent with the answer, whatever it is
    principal: str | None = None
    route: str | None = None  # template, where the router is not asked

    def allow_batch(self) -> None:
        """Called by the guard of an operation whose body is a batch, before the body is read."""
        self.body_limit = self.batch_limit


def exchange_of(scope: Scope) -> Exchange:
    exchange: Exchange = scope[KEY]
    return exchange

"""Who asks."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; `scopes` is what it may do now, not what its token once said."""

    subject: str  # "user:7" or "key:k3v9…": stable, for logs and limits
    kind: Literal["user", "key"]
    scopes: frozenset[str]
    models: tuple[str, ...] | None = None  # None: all; an API key may be limited to some
    name: str = ""  # e-mail address of a user, name of a key
    role: str | None = None
    user_id: int | None = None
    key_id: str | None = None
    session_id: str | None = None  # the log-in a user's token came from

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def may_see(self, model_id: str) -> bool:
        return self.models is None or model_id in self.models

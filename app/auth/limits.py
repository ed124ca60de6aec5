"""Which limit holds for whom: people by requests, API keys by rows, log-ins by account and by address."""

import hashlib

from app.auth.principal import Principal
from app.core.emails import normalised
from app.core.exchange import Exchange
from app.core.limits import Limit, Limits, headers, refusal
from app.core.settings import LimitsSettings


class PrincipalLimits:
    """Each method counts, raises 429 when a limit is used up, and adds the `RateLimit` headers to the answer."""

    def __init__(self, limits: Limits, settings: LimitsSettings) -> None:
        self._limits = limits
        self._default = Limit("requests", settings.default)
        self._rows = Limit("rows", settings.ingest_rows)
        self._account = Limit("account", settings.login_per_account)
        self._address = Limit("address", settings.login_per_address)

    async def request(self, principal: Principal, exchange: Exchange) -> None:
        """One request of a person; API keys are limited by rows alone."""
        if principal.kind == "user":
            await self._count(self._default, principal.subject, exchange)

    async def anonymous(self, exchange: Exchange) -> None:
        """One request of a caller who has not said who it is; by address."""
        await self._count(self._default, f"address:{exchange.client}", exchange)

    async def rows(self, principal: Principal, n: int, exchange: Exchange | None = None) -> None:
        """`n` rows of an API key, counted before ingest stores them; the answer of `exchange` tells what is left."""
        if principal.kind == "key" and n > 0:
            verdict = await self._limits.amount(self._rows, principal.subject, n)
            if exchange is not None:
                exchange.headers = headers(self._rows, verdict)
            if verdict.refused is not None:
                raise refusal(self._rows, verdict.refused)

    async def login(self, account: str, exchange: Exchange) -> None:
        """One try to log in; refused (503) where it can't be counted."""
        await self._count(self._address, exchange.client, exchange, closed=True)
        name = hashlib.sha256(normalised(account).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        await self._count(self._account, name, exchange, closed=True)

    async def _count(self, limit: Limit, key: str, exchange: Exchange, *, closed: bool = False) -> None:
        verdict = await self._limits.request(limit, key, closed=closed)
        exchange.headers = headers(limit, verdict)
        if verdict.refused is not None:
            raise refusal(limit, verdict.refused)

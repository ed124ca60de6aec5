"""Which limit holds for whom: people and API keys by requests, ingest by rows, log-ins by account and by address, and
whoever shows credentials that are none by address."""

import hashlib
import time

from app.auth.principal import Principal
from app.core.emails import normalised
from app.core.exchange import Exchange
from app.core.limits import KEYS, Limit, Limits, Usage, Verdict, headers, refusal
from app.core.settings import LimitsSettings


class PrincipalLimits:
    """Each method counts, raises 429 when a limit is used up, and adds the `RateLimit` headers to the answer."""

    def __init__(self, limits: Limits, settings: LimitsSettings) -> None:
        self._limits = limits
        self._default = Limit("requests", settings.default)
        self._key = Limit("key-requests", settings.key_requests)
        self._failures = Limit("failures", settings.failed_per_address)
        self._barred: dict[str, Usage] = {}  # by address: what it has used up
        self._rows = Limit("rows", settings.ingest_rows)
        self._account = Limit("account", settings.login_per_account, named=True)
        self._address = Limit("address", settings.login_per_address, named=True)

    async def request(self, principal: Principal, exchange: Exchange) -> None:
        """One request of a person, or of an API key where it does not send rows."""
        limit = self._default if principal.kind == "user" else self._key
        await self._count(limit, principal.subject, exchange)

    async def failed(self, exchange: Exchange) -> None:
        """A credential was none, and the database had to be asked."""
        verdict = await self._limits.request(self._failures, exchange.client)
        if verdict.refused is not None:
            if len(self._barred) >= KEYS:
                self._barred.clear()
            self._barred[exchange.client] = verdict.refused
            self.demand_few_failures(exchange)

    def demand_few_failures(self, exchange: Exchange) -> None:
        """Raises 429 for an address that has used its failures up; asks no store."""
        used_up = self._barred.get(exchange.client)
        if used_up is None:
            return
        if used_up.reset_at <= time.time():
            del self._barred[exchange.client]
            return
        self._told(Verdict(refused=used_up, by=self._failures), exchange, self._failures)

    async def anonymous(self, exchange: Exchange) -> None:
        """One request of a caller who has not said who it is; by address."""
        await self._count(self._default, f"address:{exchange.client}", exchange)

    async def rows(self, principal: Principal, n: int, exchange: Exchange | None = None) -> None:
        """`n` rows of an API key, counted before ingest stores them; the answer of `exchange` tells what is left."""
        if principal.kind == "key" and n > 0:
            verdict = await self._limits.amount(self._rows, principal.subject, n)
            if exchange is not None:
                exchange.headers = headers(verdict, self._rows)
            if verdict.refused is not None:
                raise refusal(verdict)

    async def login(self, account: str | None, exchange: Exchange) -> None:
        """One try to log in, maybe without a name; refused (503) where it can't be counted."""
        asked = [(self._address, exchange.client)]
        if account is not None:
            name = hashlib.sha256(normalised(account).encode("utf-8", "surrogatepass")).hexdigest()[:32]
            asked.append((self._account, name))
        verdict = await self._limits.requests(asked, closed=True)
        self._told(verdict, exchange, *(limit for limit, _ in asked))

    async def _count(self, limit: Limit, key: str, exchange: Exchange) -> None:
        self._told(await self._limits.request(limit, key), exchange, limit)

    def _told(self, verdict: Verdict, exchange: Exchange, *limits: Limit) -> None:
        exchange.headers = headers(verdict, *limits)
        if verdict.refused is not None:
            raise refusal(verdict)

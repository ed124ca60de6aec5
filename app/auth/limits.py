"""Which limit holds for whom: people and API keys by requests, ingest by rows, log-ins by account and by address, and
whoever shows credentials that are none by address. Log and audit have the whole address; see `network_of`."""

import hashlib
import time
from ipaddress import IPv6Address

from app.auth.principal import Principal
from app.core.emails import normalised
from app.core.exchange import Exchange
from app.core.limits import KEYS, Limit, Limits, Usage, Verdict, headers, refusal
from app.core.settings import LimitsSettings

HOST_BITS = 64


class PrincipalLimits:
    """Each method counts, raises 429 when a limit is used up, and adds the `RateLimit` headers to the answer."""

    def __init__(self, limits: Limits, settings: LimitsSettings) -> None:
        self._limits = limits
        self._default = Limit("requests", settings.default)
        self._key = Limit("key-requests", settings.key_requests)
        self._failures = Limit("failures", settings.failed_per_address)
        self._barred = UsedUp(self._failures)  # by address
        self._idle = UsedUp(self._key)  # by key: its requests that brought no rows
        self._rows = Limit("rows", settings.ingest_rows)
        self._account = Limit("account", settings.login_per_account, named=True)
        self._address = Limit("address", settings.login_per_address, named=True)

    async def request(self, principal: Principal, exchange: Exchange) -> None:
        """One request of a person, or of an API key where it does not send rows."""
        limit = self._default if principal.kind == "user" else self._key
        await self._count(limit, principal.subject, exchange)

    async def failed(self, exchange: Exchange) -> None:
        """A credential was none, and the database had to be asked."""
        verdict = await self._limits.request(self._failures, network_of(exchange.client))
        if verdict.refused is not None:
            self._barred.note(network_of(exchange.client), verdict.refused)
            self.demand_few_failures(exchange)

    def demand_few_failures(self, exchange: Exchange) -> None:
        """Raises 429 for an address that has used its failures up; asks no store."""
        self._demand(self._barred, network_of(exchange.client), exchange)

    def owe_rows(self, principal: Principal, exchange: Exchange) -> None:
        """One request of an API key where its rows are counted: until they are, it owes a request. Raises 429 for a key
        that has used its requests up in this way; asks no store."""
        self._demand(self._idle, principal.subject, exchange)
        exchange.owed = self._refused

    async def _refused(self, exchange: Exchange) -> None:
        """It was refused and no row was counted, but its body may have been read."""
        key = exchange.principal or ""
        verdict = await self._limits.request(self._key, key)
        for usage in verdict.usages if verdict.refused is None else (verdict.refused,):
            if not usage.remaining:
                self._idle.note(key, usage)

    async def anonymous(self, exchange: Exchange) -> None:
        """One request of a caller who has not said who it is; by address."""
        await self._count(self._default, f"address:{network_of(exchange.client)}", exchange)

    async def rows(self, principal: Principal, n: int, exchange: Exchange | None = None) -> None:
        """`n` rows of an API key, counted before ingest stores them; the answer of `exchange` tells what is left."""
        if principal.kind == "key" and n > 0:
            verdict = await self._limits.amount(self._rows, principal.subject, n)
            if exchange is not None:
                exchange.headers = headers(verdict, self._rows)
            if verdict.refused is not None:
                raise refusal(verdict)
            if exchange is not None:
                exchange.owed = None

    async def login(self, account: str | None, exchange: Exchange) -> None:
        """One try to log in, maybe without a name; refused (503) where it can't be counted."""
        asked = [(self._address, network_of(exchange.client))]
        if account is not None:
            name = hashlib.sha256(normalised(account).encode("utf-8", "surrogatepass")).hexdigest()[:32]
            asked.append((self._account, name))
        verdict = await self._limits.requests(asked, closed=True)
        self._told(verdict, exchange, *(limit for limit, _ in asked))

    async def _count(self, limit: Limit, key: str, exchange: Exchange) -> None:
        self._told(await self._limits.request(limit, key), exchange, limit)

    def _demand(self, used_up: "UsedUp", key: str, exchange: Exchange) -> None:
        usage = used_up.of(key)
        if usage is not None:
            self._told(Verdict(refused=usage, by=used_up.limit), exchange, used_up.limit)

    def _told(self, verdict: Verdict, exchange: Exchange, *limits: Limit) -> None:
        exchange.headers = headers(verdict, *limits)
        if verdict.refused is not None:
            raise refusal(verdict)


def network_of(client: str) -> str:
    """What is one address to limits: of IPv6 the network of 64 bits, since every host has all of one to choose from."""
    if ":" not in client:
        return client
    try:
        address = IPv6Address(client)
    except ValueError:
        return client
    return str(address.ipv4_mapped or IPv6Address(int(address) >> HOST_BITS << HOST_BITS))


class UsedUp:
    """Who has used a limit up, and until when: known without asking a store."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._of: dict[str, Usage] = {}

    def note(self, key: str, usage: Usage) -> None:
        if len(self._of) >= KEYS:
            self._of.clear()
        self._of[key] = usage

    def of(self, key: str) -> Usage | None:
        usage = self._of.get(key)
        if usage is not None and usage.reset_at <= time.time():
            del self._of[key]
            return None
        return usage

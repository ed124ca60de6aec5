"""Holders of refresh tokens: who heard nothing of a rotation tries the old token again, and what that gives is judged.

Where the rotation was not committed the old token is still the one to use. Where it was, the same client gets the same
successor for ten seconds; anybody else, and everybody later, ends the family. Two tokens of a family never live.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

import httpx

from app.auth.service import GRACE
from tests.support.counts import Counts
from tests.support.served import EMAIL, PASSWORD

OK, REFUSED, NOT_NOW = HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE
SILENCE = 0  # no answer
AGAIN_S = 0.1
PATIENCE = 2400  # times


@dataclass(frozen=True)
class Pair:
    """Two uses of one token, the first under the kill."""

    lost: bool  # the first answer does not reach the client, whatever it was
    twice: bool  # the first use is two at once
    stranger: bool  # the second use is by another client
    ended: bool  # a reuse ends the family afterwards

    @classmethod
    def drawn(cls, draw: random.Random) -> "Pair":
        return cls(*(draw.random() < chance for chance in (0.5, 0.3, 0.15, 0.15)))


@dataclass(frozen=True)
class Use:
    """What a use of a token gave, and between which moments."""

    status: int
    successor: str | None = None
    sent: float = 0.0
    heard: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A token in the database."""

    used_at: datetime | None
    revoked: bool  # its family


@dataclass
class Tally:
    """Of all pairs; the lists are of what must not be."""

    pairs: int = 0
    uncommitted: int = 0
    committed_unheard: int = 0
    cut_off: int = 0  # of these: by the kill itself
    same_again: int = 0
    ended: int = 0
    log_ins: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    forgotten: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    two_successors: list[str] = field(default_factory=list)
    kept_working: list[str] = field(default_factory=list)
    locked_out: list[str] = field(default_factory=list)

    def count(self, counts: Counts) -> None:
        counts.note("pairs", self.pairs)
        counts.note("not committed", self.uncommitted)
        counts.note(
            "committed and not heard of", f"{self.committed_unheard}, {self.cut_off} of them by the kill itself"
        )
        counts.note("same successor again", self.same_again)
        counts.note("families ended", self.ended)
        counts.none("rotations told and forgotten", self.forgotten, self.pairs)
        counts.none("second uses that gave something else than they should", self.wrong, self.pairs)
        counts.none("tokens with two successors", self.two_successors, self.pairs)
        counts.none("tokens that kept working", self.kept_working, self.ended)
        counts.none("people who could not log in again", self.locked_out, self.log_ins)
        counts.none("other answers than 200, 401, 503", set(self.statuses) - {SILENCE, OK, REFUSED, NOT_NOW})
        counts.note("answers", dict(sorted(self.statuses.items())))


class Holder:
    """Holds the token of one family at a time; when that has ended it logs in."""

    def __init__(self, client: httpx.AsyncClient, tally: Tally) -> None:
        self._client, self._tally = client, tally
        self.token = ""

    async def log_in(self) -> None:
        self._tally.log_ins += 1
        answer = await self._client.post("/auth/token", data={"username": EMAIL, "password": PASSWORD})
        if answer.status_code != OK:
            self._tally.locked_out.append(f"{answer.status_code}")
        self.token = answer.json()["refresh_token"]

    async def use(self, token: str, client: str = "holder") -> Use:
        sent = time.time()
        try:
            answer = await self._client.post(
                "/auth/refresh", json={"refresh_token": token}, headers={"User-Agent": client}
            )
        except httpx.TransportError:
            answer = None
        status = SILENCE if answer is None else answer.status_code
        self._tally.statuses[status] += 1
        successor = answer.json()["refresh_token"] if answer is not None and status == OK else None
        return Use(status, successor, sent, time.time())

    async def surely(self, token: str, client: str = "holder") -> Use:
        """Nothing is killed now; a connection that died with the database may still answer 503."""
        for _ in range(PATIENCE):
            use = await self.use(token, client)
            if use.status not in (SILENCE, NOT_NOW):
                return use
            await asyncio.sleep(AGAIN_S)
        raise AssertionError("the product did not come back")

    async def second(self, pair: Pair, first: Sequence[Use], before: Seen) -> None:
        """The old token again, judged by what the database had of it; then on with what lives."""
        old, tally = self.token, self._tally
        answered = {use.successor for use in first if use.successor is not None}
        tally.wrong += [f"a first use gave {use.status}" for use in first if use.status == REFUSED]
        tally.pairs += 1
        tally.uncommitted += before.used_at is None
        tally.committed_unheard += before.used_at is not None and (pair.lost or not answered)
        tally.cut_off += before.used_at is not None and not answered
        if answered and before.used_at is None:
            tally.forgotten.append(old[:8])
        again = await self.surely(old, "stranger" if pair.stranger else "holder")
        if again.status not in _allowed(before, pair, again):
            tally.wrong.append(f"{again.status}, {pair}, {before}")
        if again.successor is None:
            await self._is_dead(old, *answered)
            return
        tally.same_again += before.used_at is not None
        if answered - {again.successor}:
            tally.two_successors.append(old[:8])
        if pair.ended:
            await self._end(old, again.successor)
        else:
            self.token = again.successor

    async def _end(self, old: str, successor: str) -> None:
        """Once its successor is used a token has no grace: one use of it and nothing of the family works."""
        last = await self.surely(successor)
        if last.status != OK or last.successor is None:
            self._tally.wrong.append(f"a living token gave {last.status}")
            return
        if (await self.surely(old)).status != REFUSED:
            self._tally.kept_working.append(old[:8])
        await self._is_dead(old, successor, last.successor)

    async def _is_dead(self, *tokens: str) -> None:
        for token in tokens:
            if (await self.surely(token)).status != REFUSED:
                self._tally.kept_working.append(token[:8])
        self._tally.ended += 1
        await self.log_in()


def _allowed(before: Seen, pair: Pair, again: Use) -> set[int]:
    if before.revoked:
        return {REFUSED}
    if before.used_at is None:
        return {OK}
    if pair.stranger:
        return {REFUSED}
    grace, used = GRACE.total_seconds(), before.used_at.timestamp()
    within = {OK} if again.sent - used <= grace else set()
    return within | ({REFUSED} if again.heard - used > grace else set())

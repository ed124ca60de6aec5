"""Claiming a key, keeping the answer, giving it again.

Answers are kept encrypted: that of `POST /api-keys` holds the key itself. What encrypts is derived from a secret that
is not in the database and from the `Idempotency-Key`, of which only a hash is there. Of the request an HMAC is kept:
its body may hold a password, and whoever has the database could try guesses at a plain hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core.clock import Clock, to_datetime
from app.core.errors import Unavailable
from app.db.engine import Database, Session
from app.db.tables.idempotency import IdempotencyTable
from app.idempotency import repository
from app.idempotency.errors import AnswerLost, KeyUsedOtherwise, RequestUnderWay
from app.idempotency.repository import Key

log = structlog.get_logger()

KEPT = timedelta(hours=24)
KEPT_ANSWERS = "kept answers"  # what the secret that encrypts them is derived for
NAME = 8  # bytes before the HMAC of a request: they tell which secret made it
STATEMENTS = 12  # more than any use case has; each is given up after `ASSAY_DATABASE__COMMAND_TIMEOUT_S`
RETRY_AFTER_S = "1"  # whoever holds the key mostly answers in milliseconds; only of a dead one the claim lasts a minute
NONCE = 12  # bytes, what AES-GCM wants


class Answer(msgspec.Struct, frozen=True):
    """What a request was answered with."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this request holds until its answer is kept or it is given up."""

    key: Key
    text: str
    request_id: str


class Claims:
    """`secret`: 32 bytes of this purpose alone; `retired`: of earlier ones, which still open what they kept."""

    def __init__(self, database: Database, clock: Clock, secret: bytes, *retired: bytes) -> None:
        self._database = database
        self._clock = clock
        self._secret = secret
        self._known = {_name_of(each): each for each in (*retired, secret)}
        self._lease = STATEMENTS * timedelta(seconds=database.statement_timeout_s)

    async def claim(self, principal: str, text: str, request: bytes, request_id: str) -> Claim | Answer:
        """The claim, or the answer that the same request was given before.

        `request` is the digest of what makes it the same. Raises `KeyUsedOtherwise`, `RequestUnderWay`, `AnswerLost`.
        """
        claim = Claim(Key(principal, hashlib.sha256(text.encode()).digest()), text, request_id)
        now = to_datetime(self._clock.now_us())
        mark = _mark(self._secret, claim, request)
        mine = {"request_digest": mark, "request_id": request_id, "claimed_at": now, "expires_at": now + KEPT}
        async with self._database.write() as session:
            if await repository.claim(session, claim.key, mine, now):
                return claim
            row = await repository.find(session, claim.key)
            if row is None:  # given up a moment ago
                raise _under_way()
            secret = self._known.get(row.request_digest[:NAME])
            if secret is not None and not hmac.compare_digest(row.request_digest, _mark(secret, claim, request)):
                raise KeyUsedOtherwise("this Idempotency-Key was sent with another request; use a new one")
            if row.status is not None and row.answer is not None:
                return _opened(secret, claim, row.answer)
            await self._demand_abandoned(session, row)
            if not await repository.take_over(session, claim.key, row.request_id, mine):
                raise _under_way()
        return claim

    async def keep(self, claim: Claim, answer: Answer) -> None:
        """What was done is done: where the answer can't be kept it is given all the same."""
        with _given_all_the_same(claim):
            async with self._database.write() as session:
                sealed = _sealed(self._secret, claim, answer)
                await repository.keep(session, claim.key, claim.request_id, answer.status, sealed)

    async def release(self, claim: Claim) -> None:
        """The request was refused and changed nothing: the same key may be tried again at once."""
        with _given_all_the_same(claim):
            async with self._database.write() as session:
                await repository.release(session, claim.key, claim.request_id)

    async def sweep(self) -> int:
        """Drops those whose time is over, and says how many; for whoever keeps house, every hour or so."""
        dropped = 0
        while True:
            async with self._database.write() as session:
                now = await repository.sweep(session, to_datetime(self._clock.now_us()))
            dropped += now
            if now < repository.SWEPT_AT_ONCE:
                return dropped

    async def _demand_abandoned(self, session: Session, row: IdempotencyTable) -> None:
        """Whoever claimed it has neither answered nor given up: it works still, or it is dead."""
        if to_datetime(self._clock.now_us()) < row.claimed_at + self._lease:
            raise _under_way()
        if await repository.was_carried_out(session, row):
            raise _lost()


def _name_of(secret: bytes) -> bytes:
    return hashlib.sha256(b"assay claims\0" + secret).digest()[:NAME]


def _mark(secret: bytes, claim: Claim, request: bytes) -> bytes:
    """What is kept of a request. No `Idempotency-Key` has a NUL, so no HMAC of one is an HMAC of another use."""
    return _name_of(secret) + hmac.digest(secret, b"request\0" + claim.text.encode() + b"\0" + request, "sha256")


def _sealed(secret: bytes, claim: Claim, answer: Answer) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    plain = msgspec.msgpack.encode(answer)
    return nonce + _cipher(secret, claim).encrypt(nonce, plain, claim.key.principal.encode())


def _opened(secret: bytes | None, claim: Claim, sealed: bytes) -> Answer:
    """`secret` None: it was kept under one that is not known any more."""
    if secret is None:
        raise _lost()
    try:
        plain = _cipher(secret, claim).decrypt(sealed[:NONCE], sealed[NONCE:], claim.key.principal.encode())
    except InvalidTag as error:  # changed since
        raise _lost() from error
    return msgspec.msgpack.decode(plain, type=Answer)


def _cipher(secret: bytes, claim: Claim) -> AESGCM:
    return AESGCM(hmac.digest(secret, claim.text.encode(), "sha256"))


@contextmanager
def _given_all_the_same(claim: Claim) -> Iterator[None]:
    """The answer, where the database has gone meanwhile: the claim stays until its time is over."""
    try:
        yield
    except Unavailable:
        log.warning("what became of an Idempotency-Key could not be kept", request_id=claim.request_id)


def _under_way() -> RequestUnderWay:
    return RequestUnderWay("its answer is not there yet; ask again", headers={"Retry-After": RETRY_AFTER_S})


def _lost() -> AnswerLost:
    return AnswerLost("the request was carried out before; look for what it made")

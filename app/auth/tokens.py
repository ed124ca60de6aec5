"""Access tokens: signed, verified, remembered. The only module that knows python-jose.

jose checks the signature and nothing else here; everything it leaves open is closed before (shape, size, header) and
after (claims, with our clock). One key serves one algorithm, and only bytes we made or were given as a secret are keys:
never a public key's encoding. Whatever goes wrong, the answer is `Unauthenticated`.
"""

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from jose import jwk, jws
from jose.backends.base import Key

from app.auth.errors import Unauthenticated
from app.core.cache import Remembered
from app.core.clock import SECOND, Clock

ALGORITHM = "HS256"
TYPE = "at+jwt"  # RFC 9068
MAX_TOKEN = 4096
MAX_HEADER = 512
LEEWAY_S = 30  # clocks of two machines
FUTURE_S = 60  # how far ahead `iat` may be
REMEMBERED = 10_000  # verified tokens per process, about 1 kB each
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """All that a header may hold: no `crit`, `jku`, `jwk`, `x5u`, `zip`."""

    alg: str
    typ: str
    kid: str


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token says; every member is required and of this type."""

    iss: str
    aud: str
    sub: str
    exp: int
    iat: int
    nbf: int
    jti: str
    sid: str  # the log-in it came from; revoking that ends the token
    ver: int  # the user's token_version when it was signed
    scope: str  # for others that verify; we look the role up


@dataclass(frozen=True, slots=True)
class _Slot:
    algorithm: str
    key: Key


class Tokens:
    """Signs with one key, verifies with any of its keys by `kid`.

    `retired`: secrets that signed earlier and still verify; keep one for a token's life after a change.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        issuer: str,
        audience: str,
        expiry_s: int,
        clock: Clock,
        retired: tuple[bytes, ...] = (),
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self.expiry_s = expiry_s
        self._clock = clock
        self._kid = _kid(secret)
        self._slots: Mapping[str, _Slot] = {
            _kid(key): _Slot(ALGORITHM, jwk.construct(key, ALGORITHM)) for key in (*retired, secret)
        }
        self._verified: Remembered[str, Claims] = Remembered(REMEMBERED)

    def sign(self, *, subject: str, session_id: str, version: int, scope: str) -> str:
        now = self._clock.now_us() // SECOND
        claims = Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=subject,
            exp=now + self.expiry_s,
            iat=now,
            nbf=now,
            jti=uuid.uuid4().hex,
            sid=session_id,
            ver=version,
            scope=scope,
        )
        token: str = jws.sign(
            msgspec.json.encode(claims),
            self._slots[self._kid].key,
            headers={"typ": TYPE, "kid": self._kid},
            algorithm=ALGORITHM,
        )
        return token

    def verify(self, token: str) -> Claims:
        """The claims of a valid token; raises `Unauthenticated` otherwise. Verified ones are remembered till `exp`."""
        now_us = self._clock.now_us()
        known = self._verified.get(token, now_us)
        if known is not None:
            return known
        try:
            claims = self._verify(token, now_us // SECOND)
        except Exception as error:  # whatever a hostile token makes of the libraries below, RecursionError too
            raise Unauthenticated("the access token is not valid") from error
        self._verified.put(token, claims, claims.exp * SECOND)
        return claims

    def _verify(self, token: str, now: int) -> Claims:
        if len(token) > MAX_TOKEN or not _COMPACT.fullmatch(token):
            raise ValueError("not a compact token")
        head, body, signature = token.split(".")
        if len(head) > MAX_HEADER * 4 // 3:
            raise ValueError("header too long")
        for segment in (head, body, signature):
            _canonical(segment)
        header = msgspec.json.decode(_decoded(head), type=_Header)
        slot = self._slots[header.kid]
        if header.alg != slot.algorithm or header.typ != TYPE:
            raise ValueError("wrong algorithm or type")
        payload = jws.verify(token, slot.key, [slot.algorithm])
        claims = msgspec.json.decode(payload, type=Claims, strict=True)
        self._check(claims, now)
        return claims

    def _check(self, claims: Claims, now: int) -> None:
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise ValueError("of another issuer or for another audience")
        if not claims.sub or not claims.jti:
            raise ValueError("without a subject or id")
        if claims.exp + LEEWAY_S <= now or claims.nbf > now + LEEWAY_S or claims.iat > now + FUTURE_S:
            raise ValueError("not valid at this time")


def _kid(key: bytes) -> str:
    return hashlib.sha256(b"assay key id\0" + key).hexdigest()[:16]


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _canonical(segment: str) -> None:
    """Refuses the other spellings of the same bytes that lenient base64 reads."""
    if base64.urlsafe_b64encode(_decoded(segment)).rstrip(b"=").decode() != segment:
        raise ValueError("not canonical base64url")

"""Access tokens: signed, verified, remembered. The only module that knows python-jose.

jose checks the signature and nothing else here; everything it leaves open is closed before (shape, size, header) and
after (claims, with our clock). One key serves one algorithm, and all keys of a process serve the same: bytes we made or
were given as a secret (HS256), or PEM on P-256 that was parsed before (ES256). So no public key's encoding is ever a
secret. Whatever goes wrong, the answer is `Unauthenticated`.
"""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from jose import jwk, jws
from jose.backends.base import Key

from app.auth.errors import Unauthenticated
from app.core import pem
from app.core.cache import Remembered
from app.core.clock import SECOND, Clock

HS256, ES256 = "HS256", "ES256"
TYPE = "at+jwt"  # RFC 9068
MAX_TOKEN = 4096
MAX_HEADER = 512
LEEWAY_S = 30  # clocks of two machines
FUTURE_S = 60  # how far ahead `iat` may be
REMEMBERED = 10_000  # verified tokens per process, about 1 kB each
FOREVER = 2**63
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
class TokenKey:
    """A key and the one algorithm it serves. `private` None: it verifies only; `public`: what others verify with."""

    kid: str
    algorithm: str
    private: Key | None
    verifying: Key
    public: Mapping[str, str] | None = None  # as a JWK


def shared_key(secret: bytes) -> TokenKey:
    """HS256, for a service that verifies its own tokens."""
    key = jwk.construct(secret, HS256)
    return TokenKey(hashlib.sha256(b"assay key id\0" + secret).hexdigest()[:16], HS256, key, key)


def key_pair(text: str) -> TokenKey:
    """ES256, from the PEM of a private key, or of a public one that signs no more. Raises `ValueError`."""
    private = jwk.construct(pem.private_key(text), ES256) if "PRIVATE KEY" in text else None
    verifying = jwk.construct(pem.public_key(text), ES256)
    public = {name: str(value) for name, value in verifying.to_dict().items()}
    kid = _thumbprint(public)
    return TokenKey(kid, ES256, private, verifying, {**public, "kid": kid, "use": "sig"})


class Tokens:
    """Signs with one key, verifies with any of its keys by `kid`.

    `retired`: keys that signed earlier. Each verifies until the moment that `ends` names, and not at all before.
    """

    def __init__(
        self,
        key: TokenKey,
        *,
        issuer: str,
        audience: str,
        expiry_s: int,
        clock: Clock,
        retired: Sequence[TokenKey] = (),
    ) -> None:
        if {each.algorithm for each in retired} - {key.algorithm}:
            raise ValueError("all keys must serve the same algorithm")
        self._issuer = issuer
        self._audience = audience
        self.expiry_s = expiry_s
        self._clock = clock
        self.current = key
        self.retired = tuple(each for each in retired if each.kid != key.kid)
        self._slots: Mapping[str, TokenKey] = {each.kid: each for each in (*self.retired, key)}
        self._ends: Mapping[str, int] = {}
        self._verified: Remembered[str, Claims] = Remembered(REMEMBERED)

    def ends(self, moments: Mapping[str, int]) -> None:
        """When retired keys end, by `kid`, in µs."""
        self._ends = moments

    def public(self) -> list[Mapping[str, str]]:
        """The keys that verify now, as JWKs; none where they are secrets."""
        return [
            key.public
            for key in self._slots.values()
            if key.public is not None and self._end(key) > self._clock.now_us()
        ]

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
            self.current.private,
            headers={"typ": TYPE, "kid": self.current.kid},
            algorithm=self.current.algorithm,
        )
        return token

    def verify(self, token: str) -> Claims:
        """The claims of a valid token; raises `Unauthenticated` otherwise. Verified ones are remembered till `exp`."""
        now_us = self._clock.now_us()
        known = self._verified.get(token, now_us)
        if known is not None:
            return known
        try:
            claims, end = self._verify(token, now_us)
        except Exception as error:  # whatever a hostile token makes of the libraries below, RecursionError too
            raise Unauthenticated("the access token is not valid") from error
        self._verified.put(token, claims, min(claims.exp * SECOND, end))
        return claims

    def verified(self, token: str) -> bool:
        """Whether `verify` has found it valid, and would now."""
        return self._verified.get(token, self._clock.now_us()) is not None

    def _verify(self, token: str, now_us: int) -> tuple[Claims, int]:
        """The claims, and when the key that signed them ends."""
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
        end = self._end(slot)
        if end <= now_us:
            raise ValueError("of a key whose time is over")
        payload = jws.verify(token, slot.verifying, [slot.algorithm])
        claims = msgspec.json.decode(payload, type=Claims, strict=True)
        self._check(claims, now_us // SECOND)
        return claims, end

    def _end(self, key: TokenKey) -> int:
        return FOREVER if key.kid == self.current.kid else self._ends.get(key.kid, 0)

    def _check(self, claims: Claims, now: int) -> None:
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise ValueError("of another issuer or for another audience")
        if not claims.sub or not claims.jti:
            raise ValueError("without a subject or id")
        if claims.exp + LEEWAY_S <= now or claims.nbf > now + LEEWAY_S or claims.iat > now + FUTURE_S:
            raise ValueError("not valid at this time")


def _thumbprint(public: Mapping[str, str]) -> str:
    """RFC 7638: others come to the same name."""
    members = {name: public[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _canonical(segment: str) -> None:
    """Refuses the other spellings of the same bytes that lenient base64 reads."""
    if base64.urlsafe_b64encode(_decoded(segment)).rstrip(b"=").decode() != segment:
        raise ValueError("not canonical base64url")

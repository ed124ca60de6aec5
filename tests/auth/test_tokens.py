"""Access tokens that others made: none is accepted, and none is an error of ours."""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from app.auth.errors import Unauthenticated
from app.auth.tokens import TYPE, TokenKey, Tokens, key_pair, shared_key
from app.core.clock import SECOND, FrozenClock, from_datetime
from tests.support.counts import Counts, forms
from tests.support.http import bearer
from tests.support.times import NOON

SECRET = b"a-secret-of-the-tests-that-is-long-enough"
OTHER = b"another-secret-that-is-long-enough-as-well"
NOW = from_datetime(NOON) // SECOND
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
EC_PRIVATE = ec.generate_private_key(ec.SECP256R1())
EC = EC_PRIVATE.public_key()
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PAIR = key_pair(EC_PRIVATE.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())


def segment(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with some changed; ... takes one away."""
    good = {
        "iss": "assay",
        "aud": "assay-api",
        "sub": "user:1",
        "exp": NOW + 600,
        "iat": NOW,
        "nbf": NOW,
        "jti": "1",
        "sid": "00000000-0000-0000-0000-000000000001",
        "ver": 1,
        "scope": "",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    good = {"alg": "HS256", "typ": TYPE, "kid": shared_key(SECRET).kid}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def forged(head: Any = None, body: Any = None, *, key: bytes = SECRET, digest: Any = hashlib.sha256) -> str:
    """A token with a right signature over whatever it holds."""
    signed = f"{segment(header() if head is None else head)}.{segment(claims() if body is None else body)}"
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), digest))}"


def signed_by_pair(head: Any = None, body: Any = None, *, key: ec.EllipticCurvePrivateKey = EC_PRIVATE) -> str:
    """As `forged`, with ES256."""
    first = {"alg": "ES256", "typ": TYPE, "kid": PAIR.kid} if head is None else head
    signed = f"{segment(first)}.{segment(claims() if body is None else body)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    size = (key.key_size + 7) // 8
    return f"{signed}.{segment(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"


GOOD = forged()
HEAD, BODY, SIGNATURE = GOOD.split(".")
LAST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


HOSTILE = {
    "unsigned: alg none": f"{segment(header(alg='none'))}.{BODY}.",
    "unsigned: alg None": f"{segment(header(alg='None'))}.{BODY}.",
    "alg none with a signature": forged(header(alg="none")),
    "signature left out": f"{HEAD}.{BODY}.",
    "alg HS384": forged(header(alg="HS384"), digest=hashlib.sha384),
    "alg HS512": forged(header(alg="HS512"), digest=hashlib.sha512),
    "alg RS256": forged(header(alg="RS256")),
    "alg ES256": forged(header(alg="ES256")),
    "alg missing": forged(header(alg=...)),
    "alg a number": forged(header(alg=256)),
    "alg in lower case": forged(header(alg="hs256")),
    "signed with an RSA key's PEM": forged(key=RSA.public_bytes(PEM, SPKI)),
    "signed with an RSA key's DER": forged(key=RSA.public_bytes(DER, SPKI)),
    "signed with an EC key's DER": forged(key=EC.public_bytes(DER, SPKI)),
    "signed with an SSH key": forged(
        key=RSA.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    ),
    "signed with the empty key": forged(key=b""),
    "signed with another secret": forged(key=OTHER),
    "kid unknown": forged(header(kid="unknown")),
    "kid missing": forged(header(kid=...)),
    "kid of a path": forged(header(kid="../../dev/null")),
    "kid a list": forged(header(kid=[shared_key(SECRET).kid])),
    "crit": forged(header(crit=["exp"])),
    "jku": forged(header(jku="https://evil.example/keys")),
    "jwk": forged(header(jwk={"kty": "oct", "k": segment(OTHER)})),
    "x5u": forged(header(x5u="https://evil.example/cert")),
    "zip": forged(header(zip="DEF")),
    "header deeply nested": forged(b'{"alg":' * 100_000),
    "header nested within its size": forged(b"[" * 400),
    "header of 2 MB": forged(header(kid="k" * 2_000_000)),
    "header not an object": forged(["HS256"]),
    "header not JSON": forged(b"\xff\xfe"),
    "typ JWT": forged(header(typ="JWT")),
    "typ missing": forged(header(typ=...)),
    "exp missing": forged(body=claims(exp=...)),
    "exp a text": forged(body=claims(exp=str(NOW + 600))),
    "exp a fraction": forged(body=claims(exp=NOW + 600.5)),
    "exp huge": forged(body=json.dumps(claims()).encode().replace(str(NOW + 600).encode(), b"1e400")),
    "exp true": forged(body=claims(exp=True)),
    "exp null": forged(body=claims(exp=None)),
    "expired": forged(body=claims(exp=NOW - 31)),
    "iat missing": forged(body=claims(iat=...)),
    "iat in the future": forged(body=claims(iat=NOW + 61)),
    "nbf in the future": forged(body=claims(nbf=NOW + 31)),
    "nbf missing": forged(body=claims(nbf=...)),
    "aud of others": forged(body=claims(aud="other")),
    "aud a list": forged(body=claims(aud=["assay-api"])),
    "aud missing": forged(body=claims(aud=...)),
    "iss of others": forged(body=claims(iss="other")),
    "iss missing": forged(body=claims(iss=...)),
    "sub missing": forged(body=claims(sub=...)),
    "sub empty": forged(body=claims(sub="")),
    "sub a number": forged(body=claims(sub=1)),
    "jti missing": forged(body=claims(jti=...)),
    "sid missing": forged(body=claims(sid=...)),
    "a claim too many": forged(body=claims(admin=True)),
    "claims not an object": forged(body=[]),
    "claims deeply nested": forged(body=b'{"sub":' * 300),
    "claims changed after signing": f"{HEAD}.{segment(claims(sub='user:2'))}.{SIGNATURE}",
    "another spelling of the signature": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}{LAST[LAST.index(SIGNATURE[-1]) ^ 1]}",
    "padding": f"{HEAD}.{BODY}.{SIGNATURE}=",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts: encrypted": f"{GOOD}.{SIGNATURE}.{SIGNATURE}",
    "one part": HEAD,
    "empty": "",
    "dots": "..",
    "spaces": f" {GOOD}",
    "a line end": f"{GOOD}\n",
    "not ASCII": GOOD + "é",
    "2 MB": "a" * 2_000_000,
}


@pytest.fixture
def tokens(clock: FrozenClock) -> Tokens:
    return made(shared_key(SECRET), clock)


def made(key: TokenKey, clock: FrozenClock, *retired: TokenKey) -> Tokens:
    return Tokens(key, issuer="assay", audience="assay-api", expiry_s=600, clock=clock, retired=retired)


MUTATED = forms(smoke=1000, long=100_000)


def mutated(good: str, n: int, chance: random.Random) -> Iterator[str]:
    """`n` tokens that differ from a good one: characters changed, taken out, put in, segments swapped."""
    made = 0
    while made < n:
        place, letter = chance.randrange(len(good)), chance.choice(LAST + ".")
        parts = good.split(".")
        changed = chance.choice(
            (
                good[:place] + letter + good[place + 1 :],
                good[:place] + good[place + 1 :],
                good[:place] + letter + good[place:],
                good[:place],
                ".".join(chance.sample(parts, 3)),
            )
        )
        if changed != good:
            made += 1
            yield changed


def accepted_of(changed: Iterator[str], tokens: Tokens) -> int:
    """How many are accepted; anything else than `Unauthenticated` is an error."""
    accepted = 0
    for token in changed:
        try:
            tokens.verify(token)
        except Unauthenticated:
            continue
        accepted += 1
    return accepted


class TestVerify:
    def test_accepts_what_the_corpus_is_made_from(self, tokens: Tokens) -> None:
        assert tokens.verify(GOOD).sub == "user:1"

    @pytest.mark.parametrize("name", HOSTILE)
    def test_refuses(self, tokens: Tokens, name: str) -> None:
        begun = time.perf_counter()
        with pytest.raises(Unauthenticated):
            tokens.verify(HOSTILE[name])
        assert time.perf_counter() - begun < 0.05

    @pytest.mark.fault("G13")
    @MUTATED
    def test_refuses_every_token_that_was_changed(
        self, tokens: Tokens, size: int, counts: Counts, draw: random.Random
    ) -> None:
        counts.none("changed tokens accepted", accepted_of(mutated(GOOD, size, draw), tokens), size)
        counts.judge()

    def test_remembers_a_token_no_longer_than_it_lives(self, tokens: Tokens, clock: FrozenClock) -> None:
        token = tokens.sign(subject="user:1", session_id="s", version=1, scope="")
        clock.advance(seconds=599)
        assert tokens.verify(token).sub == "user:1"
        clock.advance(seconds=32)  # and the leeway of 30 s
        with pytest.raises(Unauthenticated):
            tokens.verify(token)

    def test_a_retired_key_verifies_until_its_end_and_not_before_that_is_known(
        self, clock: FrozenClock, tokens: Tokens
    ) -> None:
        token = tokens.sign(subject="user:1", session_id="s", version=1, scope="")
        later = made(shared_key(OTHER), clock, shared_key(SECRET))
        with pytest.raises(Unauthenticated):
            later.verify(token)
        later.ends({shared_key(SECRET).kid: clock.now_us() + 60 * SECOND})
        assert later.verify(token).sub == "user:1"
        clock.advance(seconds=60)
        with pytest.raises(Unauthenticated):
            later.verify(token)
        with pytest.raises(Unauthenticated):
            made(shared_key(OTHER), clock).verify(token)


HEAD_ES = {"alg": "ES256", "typ": TYPE, "kid": PAIR.kid}
PUBLIC_PEM = EC.public_bytes(PEM, SPKI)
HOSTILE_TO_A_PAIR = {
    "unsigned": f"{segment({**HEAD_ES, 'alg': 'none'})}.{BODY}.",
    "signed by a secret that is the key's PEM": forged({**HEAD_ES, "alg": "HS256"}, key=PUBLIC_PEM),
    "and says ES256": forged(HEAD_ES, key=PUBLIC_PEM),
    "signed by a secret that is the key's DER": forged({**HEAD_ES, "alg": "HS256"}, key=EC.public_bytes(DER, SPKI)),
    "signed by a secret that is the key's JWK": forged(
        {**HEAD_ES, "alg": "HS256"}, key=json.dumps(dict(PAIR.public or {})).encode()
    ),
    "signed with the secret of HS256, under its kid": GOOD,
    "signed with the secret of HS256, under this kid": forged({**HEAD_ES, "alg": "HS256"}),
    "signed by another pair": signed_by_pair(key=ec.generate_private_key(ec.SECP256R1())),
    "signed on another curve": signed_by_pair(key=ec.generate_private_key(ec.SECP384R1())),
    "alg ES384": signed_by_pair({**HEAD_ES, "alg": "ES384"}),
    "jwk in the header": signed_by_pair({**HEAD_ES, "jwk": dict(PAIR.public or {})}),
    "kid of nobody": signed_by_pair({**HEAD_ES, "kid": "x"}),
    "r and s are zero": f"{segment(HEAD_ES)}.{BODY}.{segment(bytes(64))}",
    "signature too short": f"{segment(HEAD_ES)}.{BODY}.{segment(bytes(63))}",
    "signature in DER": f"{segment(HEAD_ES)}.{BODY}."
    + segment(EC_PRIVATE.sign(f"{segment(HEAD_ES)}.{BODY}".encode(), ec.ECDSA(hashes.SHA256()))),
    "expired": signed_by_pair(body=claims(exp=NOW - 31)),
    "aud of others": signed_by_pair(body=claims(aud="other")),
    "typ JWT": signed_by_pair({**HEAD_ES, "typ": "JWT"}),
}


class TestPair:
    """ES256: others verify, only we sign."""

    @pytest.fixture
    def tokens(self, clock: FrozenClock) -> Tokens:
        return made(PAIR, clock)

    def test_accepts_what_the_corpus_is_made_from(self, tokens: Tokens) -> None:
        assert tokens.verify(signed_by_pair()).sub == "user:1"

    def test_others_verify_what_we_sign_by_what_we_publish(self, tokens: Tokens) -> None:
        token = tokens.sign(subject="user:1", session_id="s", version=1, scope="models:read")
        [key] = tokens.public()
        x, y = (int.from_bytes(decoded(key[name])) for name in "xy")
        published = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        head, body, signature = token.split(".")
        r, s = (int.from_bytes(half) for half in (decoded(signature)[:32], decoded(signature)[32:]))
        published.verify(encode_dss_signature(r, s), f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        assert json.loads(decoded(head)) == {"alg": "ES256", "typ": TYPE, "kid": key["kid"]}
        assert json.loads(decoded(body))["sub"] == "user:1"
        assert "d" not in key

    def test_the_name_of_a_key_is_its_thumbprint(self) -> None:
        """RFC 7515, A.3; its thumbprint (RFC 7638) as others give it."""
        x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        numbers = ec.EllipticCurvePublicNumbers(*(int.from_bytes(decoded(part)) for part in (x, y)), ec.SECP256R1())
        key = key_pair(numbers.public_key().public_bytes(PEM, SPKI).decode())
        assert key.kid == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"

    @pytest.mark.parametrize("name", HOSTILE_TO_A_PAIR)
    def test_refuses(self, tokens: Tokens, name: str) -> None:
        begun = time.perf_counter()
        with pytest.raises(Unauthenticated):
            tokens.verify(HOSTILE_TO_A_PAIR[name])
        assert time.perf_counter() - begun < 0.05

    @pytest.mark.parametrize("name", HOSTILE)
    def test_refuses_all_that_a_secret_refuses(self, tokens: Tokens, name: str) -> None:
        with pytest.raises(Unauthenticated):
            tokens.verify(HOSTILE[name])

    @pytest.mark.fault("G13")
    @MUTATED
    def test_refuses_every_token_that_was_changed(
        self, tokens: Tokens, size: int, counts: Counts, draw: random.Random
    ) -> None:
        counts.none("changed tokens accepted", accepted_of(mutated(signed_by_pair(), size, draw), tokens), size)
        counts.judge()

    def test_never_stands_beside_a_secret(self, clock: FrozenClock) -> None:
        for key, retired in ((PAIR, shared_key(SECRET)), (shared_key(SECRET), PAIR)):
            with pytest.raises(ValueError, match="same algorithm"):
                made(key, clock, retired)


class TestOverHttp:
    async def test_every_hostile_token_is_401(self, client: httpx.AsyncClient) -> None:
        answers = {}
        for name, token in HOSTILE.items():
            raw = token.encode("latin-1", "replace").replace(b"\n", b"")
            if raw.strip() not in {b"", GOOD.encode()}:
                answer = await client.get("/auth/me", headers={b"Authorization": b"Bearer " + raw})  # type: ignore[dict-item]
                answers[name] = answer.status_code
        assert {name: status for name, status in answers.items() if status != 401} == {}
        assert len(answers) > 60

    @pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "bearer ", "token", "Bearer a b", "Bearer aqt_x_y"])
    async def test_so_is_everything_else(self, client: httpx.AsyncClient, value: str) -> None:
        assert (await client.get("/auth/me", headers={"Authorization": value})).status_code == 401

    async def test_a_good_token_of_a_log_in_that_never_was(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/auth/me", headers=bearer(GOOD))).status_code == 401

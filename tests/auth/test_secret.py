"""The signing secret of a data directory, and the change from one key to the next."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.auth.secret import derived, signing_secret
from app.auth.tokens import key_pair
from app.core.clock import FrozenClock
from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from tests.support.http import Identities, bearer, client_of, running


def settings(folder: Path) -> Settings:
    return Settings(_env_file=None, data_dir=folder)


class TestSecret:
    def test_is_made_once_and_nobody_else_can_read_it(self, tmp_path: Path) -> None:
        first = signing_secret(settings(tmp_path / "data"))
        assert len(first) >= 32
        assert signing_secret(settings(tmp_path / "data")) == first
        assert signing_secret(settings(tmp_path / "other")) != first
        file = tmp_path / "data" / "secrets" / "auth.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_of_many_that_start_at_once_all_get_the_same(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: signing_secret(settings(tmp_path)), range(32)))
        assert len(found) == 1
        assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["auth.key"]

    def test_a_given_one_is_used(self, tmp_path: Path) -> None:
        given = Settings(_env_file=None, data_dir=tmp_path, auth={"secret": "x" * 40})
        assert signing_secret(given) == b"x" * 40
        assert not (tmp_path / "secrets").exists()

    def test_each_purpose_has_a_key_of_its_own(self) -> None:
        assert derived(b"s" * 40, "a") != derived(b"s" * 40, "b")


class TestAnotherKey:
    async def status(self, settings: Settings, auth: dict[str, object], token: str, **parts: Any) -> int:
        """What a process with these settings answers to the token."""
        changed = Settings(_env_file=None, **{**settings.model_dump(), "auth": auth})
        async with running(create_app(changed, **parts)) as process, client_of(process) as client:
            return (await client.get("/auth/me", headers=bearer(token))).status_code

    @pytest.mark.parametrize("pair", [False, True], ids=["HS256", "ES256"])
    async def test_leaves_tokens_of_the_retired_one_valid_for_a_day(
        self, settings: Settings, clock: FrozenClock, database: Database, pair: bool
    ) -> None:
        name = "signing_key" if pair else "secret"
        old, new = (new_pair() if pair else f"a-secret-of-the-tests-that-is-long-{n}" for n in range(2))
        long = {"secret": "a-secret-of-the-tests-that-is-long-enough", "token_expiry": 86_400}
        retired = f"retired_{name}s"
        parts: dict[str, Any] = {"clock": clock, "database": database}
        before = Settings(_env_file=None, **{**settings.model_dump(), "auth": {**long, name: old}})
        async with running(create_app(before, **parts)) as process:
            token = await Identities(process).user("viewer")
            clock.advance(seconds=20)
            late = await Identities(process).user("viewer")

        assert await self.status(settings, {**long, name: new}, token, **parts) == 401
        rotated = {**long, name: new, retired: (old,)}
        assert await self.status(settings, rotated, token, **parts) == 200
        clock.advance(seconds=86_400 - 1)  # the first start with the retired one counts, not the last
        assert await self.status(settings, rotated, late, **parts) == 200
        clock.advance(seconds=1)
        assert await self.status(settings, rotated, late, **parts) == 401  # though `late` lives 20 s more

    async def test_is_published_as_long_as_it_verifies(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        old, new = new_pair(), new_pair()
        auth = {"secret": settings.auth.secret, "signing_key": new, "retired_signing_keys": (old,)}
        changed = Settings(_env_file=None, **{**settings.model_dump(), "auth": auth})
        app = create_app(changed, clock=clock, database=database)
        async with running(app), client_of(app) as client:
            answer = await client.get("http://test/.well-known/jwks.json")
            assert answer.headers["cache-control"] == "public, max-age=300"
            assert {key["kid"] for key in answer.json()["keys"]} == {key_pair(old).kid, key_pair(new).kid}
            assert all(set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"} for key in answer.json()["keys"])
            clock.advance(seconds=86_400)
            later = (await client.get("http://test/.well-known/jwks.json")).json()
            assert [key["kid"] for key in later["keys"]] == [key_pair(new).kid]

    async def test_a_secret_is_not_published(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("http://test/.well-known/jwks.json")).json() == {"keys": []}


def new_pair() -> str:
    """PEM, in the one line that an environment variable may need."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode().strip().replace("\n", "\\n")

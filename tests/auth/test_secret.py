"""The signing secret of a data directory."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.auth.secret import derived, signing_secret
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


class TestAnotherSecret:
    async def test_leaves_tokens_of_the_retired_one_valid(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        async with running(create_app(settings, clock=clock, database=database)) as before:
            token = bearer(await Identities(before).user("viewer"))
        old = settings.auth.secret
        assert old is not None
        for retired, status in (((), 401), ((old.get_secret_value(),), 200)):
            auth = {"secret": "another-secret-that-is-also-long-enough", "retired_secrets": retired}
            changed = Settings(_env_file=None, **{**settings.model_dump(), "auth": auth})
            async with (
                running(create_app(changed, clock=clock, database=database)) as after,
                client_of(after) as client,
            ):
                assert (await client.get("/auth/me", headers=token)).status_code == status

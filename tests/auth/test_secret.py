"""The signing secret of a data directory."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.auth.secret import derived, signing_secret
from app.core.settings import Settings


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

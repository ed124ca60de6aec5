"""Settings: what a process refuses to start with."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.settings import Settings

RANDOM = "3J9yT0cQmZ1xV7bN5kLwRfUeHs8DgAoP2iYhXqWvKj4="
SAFE: dict[str, Any] = {"environment": "production", "auth": {"secret": RANDOM}, "metrics": {"token": "of-the-scraper"}}

UNSAFE = [
    ({"auth": {}}, "ASSAY_AUTH__SECRET", "nothing to sign with"),
    ({"auth": {"secret": "short"}}, "ASSAY_AUTH__SECRET", "shorter than the hash"),
    ({"auth": {"secret": "a" * 64}}, "ASSAY_AUTH__SECRET", "one letter many times"),
    ({"auth": {"secret": "changeme-" + RANDOM}}, "ASSAY_AUTH__SECRET", "copied from an example"),
    ({"auth": {"secret": "1234567890" * 4}}, "ASSAY_AUTH__SECRET", "from the keyboard"),
    ({"metrics": {}}, "ASSAY_METRICS__TOKEN", "metrics for everybody"),
    ({"limits": {"enabled": False}}, "ASSAY_LIMITS__ENABLED", "no limits"),
    ({"http": {"trusted_hosts": ("*",)}}, "ASSAY_HTTP__TRUSTED_HOSTS", "any host name"),
    ({"admin_password": "short"}, "ASSAY_ADMIN_PASSWORD", "a password of five letters"),
]


class TestProduction:
    def test_starts_with_what_is_safe(self) -> None:
        assert Settings(_env_file=None, **SAFE).production

    @pytest.mark.parametrize(("change", "name", "reason"), UNSAFE, ids=[reason for _, _, reason in UNSAFE])
    def test_refuses(self, change: dict[str, Any], name: str, reason: str) -> None:
        with pytest.raises(ValidationError, match=name) as refused:
            Settings(_env_file=None, **{**SAFE, **change})
        assert RANDOM not in str(refused.value), reason


class TestDevelopment:
    def test_needs_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert not Settings().production

    @pytest.mark.parametrize("change", [{"nonsense": 1}, {"http": {"nonsense": 1}}, {"auth": {"secret": "short"}}])
    def test_refuses_what_means_nothing(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Settings(_env_file=None, **change)

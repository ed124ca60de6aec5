"""Settings: what a process refuses to start with."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import ValidationError

from app.core.limits import Limit
from app.core.mistyped import mistyped
from app.core.settings import Settings

RANDOM = "3J9yT0cQmZ1xV7bN5kLwRfUeHs8DgAoP2iYhXqWvKj4="
FASTAPIS = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
SAFE: dict[str, Any] = {
    "environment": "production",
    "auth": {"secret": RANDOM},
    "metrics": {"token": "kX93hf82LqPz7Vb1Nw0sRt"},
}

UNSAFE = [
    ({"auth": {}}, "ASSAY_AUTH__SECRET", "nothing to sign with"),
    ({"auth": {"secret": "short"}}, "ASSAY_AUTH__SECRET", "shorter than the hash"),
    ({"auth": {"secret": "a" * 64}}, "ASSAY_AUTH__SECRET", "one letter many times"),
    ({"auth": {"secret": "changeme-" + RANDOM}}, "ASSAY_AUTH__SECRET", "copied from an example"),
    ({"auth": {"secret": "1234567890" * 4}}, "ASSAY_AUTH__SECRET", "from the keyboard"),
    ({"auth": {"secret": "0123456789abcdef0123456789abcdef"}}, "ASSAY_AUTH__SECRET", "all digits in order"),
    ({"auth": {"secret": "abcdefghijklmnopqrstuvwxyz123456"}}, "ASSAY_AUTH__SECRET", "the alphabet"),
    ({"auth": {"secret": "my-super-secret-jwt-signing-key-123"}}, "ASSAY_AUTH__SECRET", "words"),
    ({"auth": {"secret": "This is my secret key, and it is long enough!"}}, "ASSAY_AUTH__SECRET", "a sentence"),
    ({"auth": {"secret": FASTAPIS}}, "ASSAY_AUTH__SECRET", "printed in FastAPI's documentation"),
    ({"auth": {"secret": RANDOM, "retired_secrets": ["changeme" * 4]}}, "ASSAY_AUTH__RETIRED_SECRETS", "verifies yet"),
    ({"metrics": {}}, "ASSAY_METRICS__TOKEN", "metrics for everybody"),
    ({"metrics": {"token": ""}}, "ASSAY_METRICS__TOKEN", "a token of no characters"),
    ({"metrics": {"token": "scraper"}}, "ASSAY_METRICS__TOKEN", "a token to be guessed"),
    ({"metrics": {"token": "changemechangeme"}}, "ASSAY_METRICS__TOKEN", "a token copied from an example"),
    ({"metrics": {"token": "a" * 16}}, "ASSAY_METRICS__TOKEN", "a token of one letter"),
    ({"metrics": {"token": "metrics-token-2026"}}, "ASSAY_METRICS__TOKEN", "a token that says what it is"),
    ({"limits": {"login_per_account": "1000000000/second"}}, "ASSAY_LIMITS__LOGIN_PER_ACCOUNT", "a limit that is none"),
    (
        {"limits": {"login_per_address": "99999/3 minutes"}},
        "ASSAY_LIMITS__LOGIN_PER_ADDRESS",
        "more than is checked",
    ),
    ({"limits": {"enabled": False}}, "ASSAY_LIMITS__ENABLED", "no limits"),
    ({"http": {"trusted_hosts": ("*",)}}, "ASSAY_HTTP__TRUSTED_HOSTS", "any host name"),
    ({"auth": {"secret": RANDOM, "retired_secrets": ["short"]}}, "ASSAY_AUTH__RETIRED_SECRETS", "still verifies"),
    ({"admin_password": "short"}, "ASSAY_ADMIN_PASSWORD", "a password of five letters"),
    ({"admin_password": "Blu\u0308e-Kettl"}, "ASSAY_ADMIN_PASSWORD", "11 characters, one of them in two code points"),
]


def pem(curve: ec.EllipticCurve, *, private: bool = True) -> str:
    key = ec.generate_private_key(curve)
    if not private:
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class TestProduction:
    def test_starts_with_what_is_safe(self) -> None:
        assert Settings(_env_file=None, **SAFE).production

    @pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe])
    def test_takes_whatever_a_machine_makes(self, make: Callable[[int], str]) -> None:
        for _ in range(20):
            auth = {"secret": make(48), "retired_secrets": [make(48)]}
            assert Settings(_env_file=None, **{**SAFE, "auth": auth, "metrics": {"token": make(24)}}).production

    def test_of_several_limits_the_tightest_counts(self) -> None:
        rates = {"login_per_account": "100000/day;20/2 minutes", "login_per_address": "50/second;1000/minute"}
        assert Settings(_env_file=None, **{**SAFE, "limits": rates}).production

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

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ASSAY_LIMITS__DEFAULT", "banana"),
            ("ASSAY_LIMITS__INGEST_ROWS", "5/minute;"),
            ("ASSAY_DATABASE__URL", "mysql://host/secret-name"),
            ("ASSAY_REDIS_URL", "http://host/secret-name"),
            ("ASSAY_ADMIN_EMAIL", "not an email"),
            ("ASSAY_ADMIN_EMAIL", "\u0130" * 200 + "@x.de"),  # too long in lower case
            ("ASSAY_TELEMETRY__OTLP_ENDPOINT", "secret-name:4318"),
            ("ASSAY_HTTP__TRUSTED_PROXIES", '["10.0.0.1/8"]'),  # bits beyond the network
            ("ASSAY_HTTP__TRUSTED_HOSTS", "https://secret-name"),
            ("ASSAY_HTTP__TRUSTED_HOSTS", "localhost,secret-name:443"),
            ("ASSAY_HTTP__TRUSTED_HOSTS", "secret-name/path"),
            ("ASSAY_HTTP__TRUSTED_HOSTS", "*.secret-name"),
            ("ASSAY_HTTP__TRUSTED_HOSTS", "::1"),  # a client's has brackets
            ("ASSAY_HTTP__TRUSTED_HOSTS", "b\u00fccher.example"),  # a client's is xn--bcher-kva.example
            ("ASSAY_AUTH__SIGNING_KEY", "secret-name"),
            ("ASSAY_AUTH__SIGNING_KEY", pem(ec.SECP384R1())),  # ES384 would sign with it
            ("ASSAY_AUTH__SIGNING_KEY", pem(ec.SECP256R1(), private=False)),  # signs nothing
            ("ASSAY_AUTH__RETIRED_SIGNING_KEYS", '["secret-name"]'),
        ],
    )
    def test_names_the_variable_that_means_nothing(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(ValidationError, match=f"{name} must be") as refused:
            Settings(_env_file=None)
        assert "BEGIN" not in str(refused.value)
        assert "secret-name" not in str(refused.value)

    def test_empty_is_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ASSAY_REDIS_URL", "ASSAY_METRICS__TOKEN", "ASSAY_DATABASE__URL", "ASSAY_PORT"):
            monkeypatch.setenv(name, "")
        settings = Settings(_env_file=None)
        assert (settings.redis_url, settings.metrics.token, settings.port) == (None, None, 8080)

    @pytest.mark.parametrize("rates", ["1/second", "100/minute;10/second", "5 / 2 minutes", "2000000/hour"])
    def test_takes_rates_that_the_limiter_understands(self, rates: str) -> None:
        settings = Settings(_env_file=None, limits={"default": rates})
        assert len(Limit("requests", settings.limits.default).items) == rates.count(";") + 1

    def test_keys_retired_from_another_algorithm_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="there is one algorithm"):
            Settings(_env_file=None, auth={"retired_signing_keys": [pem(ec.SECP256R1())]})


class TestLists:
    @pytest.mark.parametrize(
        ("written", "hosts"),
        [
            ("assay.example.com", ("assay.example.com",)),
            ("localhost, 127.0.0.1,[::1],", ("localhost", "127.0.0.1", "[::1]")),
            (' ["localhost", "[::1]"]', ("localhost", "[::1]")),
            ("[]", ()),
        ],
    )
    def test_are_written_by_commas_or_in_json(
        self, written: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASSAY_HTTP__TRUSTED_HOSTS", written)
        assert Settings(_env_file=None).http.trusted_hosts == hosts

    @pytest.mark.parametrize(
        ("name", "value"),
        [("ASSAY_AUTH__RETIRED_SECRETS", RANDOM), ("ASSAY_DATABASE__ACCEPTED_RISKS", "trust,full_page_writes")],
    )
    def test_are_so_in_each_group(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)
        Settings(_env_file=None)

    @pytest.mark.parametrize(
        "written",
        [f"[{RANDOM}]", f'["{RANDOM}"', f"'[\"{RANDOM}\"]'", f'"{RANDOM}"'],
        ids=["its quotes eaten by a shell", "its end missing", "quoted twice", "no list"],
    )
    def test_are_refused_where_they_are_half_of_json(self, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What signed the audit must not become another secret."""
        monkeypatch.setenv("ASSAY_AUTH__RETIRED_SECRETS", written)
        with pytest.raises(ValidationError, match=r"auth\.retired_secrets") as refused:
            Settings(_env_file=None)
        assert RANDOM not in str(refused.value)


class TestVariables:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("ASSAY_BOGUS", None),
            ("ASSAY_DATABASE_URL", "ASSAY_DATABASE__URL"),  # one underscore
            ("ASSAY_RETENTION__DAY", "ASSAY_RETENTION__DAYS"),
            ("ASSAY_LIMITS", "ASSAY_LIMITS__ENABLED"),  # a group
        ],
    )
    def test_that_are_mistyped_are_told(self, name: str, meant: str | None) -> None:
        [told] = mistyped([name, "HOME"])
        assert told.startswith(f"{name} is no setting")
        assert meant is None or f"did you mean {meant}?" in told

    def test_of_commands_and_tests_are_none(self) -> None:
        assert list(mistyped(["assay_port", "ASSAY_AUTH__SECRET", "ASSAY_URL", "ASSAY_TEST_REQUIRE", "ASSAYER"])) == []

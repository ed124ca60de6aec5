"""Every setting, in groups; one frozen object, built where a process starts and handed down.

A variable is `ASSAY_<GROUP>__<KEY>` (`ASSAY_DATABASE__URL`); those without a group are the fields of `Settings` itself.
"""

import re
from enum import StrEnum
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_origin

from cryptography.exceptions import UnsupportedAlgorithm
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core import dsn, pem
from app.core.emails import is_address
from app.core.hosts import is_host
from app.core.lists import listed
from app.core.passwords import MIN_LENGTH as MIN_PASSWORD
from app.core.passwords import normalised

MIN_METRICS_TOKEN = 16
_RATE = re.compile(r"\s*([1-9]\d*)\s*/\s*([1-9]\d*)?\s*(second|minute|hour|day)s?\s*")
_IN_A_MINUTE = {"second": 60.0, "minute": 1.0, "hour": 1 / 60, "day": 1 / 1440}
# Tries a minute. A password that is let in takes a million guesses: at 60 a minute, eleven days of one account. The
# checks of 1000 a minute keep half a core busy, whoever asks for them, and a whole one where each has two spellings.
WIDEST_LOGIN = {"login_per_account": 60, "login_per_address": 1000}
MIN_SECRET_BYTES = 32  # HS256 wants a key no shorter than its hash (RFC 7518, 3.2)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _lists_are_read(cls, value: Any, field: ValidationInfo) -> Any:
        is_list = get_origin(cls.model_fields[str(field.field_name)].annotation) is tuple
        return listed(value) if is_list and isinstance(value, str) else value


class DatabaseSettings(Group):
    url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/name, over TLS with ?sslmode=verify-full&sslrootcert=FILE; "
        "unset: an embedded server in the data directory",
    )
    pool_size: int = Field(8, ge=1, le=100, description="connections of the ORM pool, per process")
    hot_pool_size: int = Field(8, ge=2, le=100, description="connections of the ingest and trend pool, per process")
    pool_timeout_s: float = Field(1.0, gt=0, le=30, description="how long to wait for a connection before 503")
    command_timeout_s: float = Field(5.0, gt=0, le=300, description="after this a statement is given up (503)")
    accepted_risks: tuple[Literal["full_page_writes", "data_checksums", "trust"], ...] = Field(
        (), description="what production would refuse of the database, and you know to be safe where it runs"
    )
    run_as: str = Field(
        "assay", description="system user of the embedded server when started by root (made if missing)"
    )


class AuthSettings(Group):
    secret: SecretStr | None = Field(
        None,
        description="signs tokens, at least 32 random bytes; unset in development: made and kept in the data directory",
    )
    retired_secrets: tuple[SecretStr, ...] = Field(
        (),
        description="earlier secrets: what they signed is valid for 24 hours more; old seals of the audit are checked",
    )
    signing_key: SecretStr | None = Field(
        None,
        description="PEM of a private key on P-256: tokens are signed with ES256, for others to verify by "
        "/.well-known/jwks.json; unset: HS256 with the secret. `openssl ecparam -name prime256v1 -genkey -noout`",
    )
    retired_signing_keys: tuple[SecretStr, ...] = Field(
        (), description="PEM of earlier signing keys: what they signed is valid for 24 hours more"
    )
    token_expiry: int = Field(3600, ge=60, le=86_400, description="seconds an access token lives")
    issuer: str = Field("assay", description="`iss` of our tokens")
    audience: str = Field("assay-api", description="`aud` of our tokens")


class LimitsSettings(Group):
    enabled: bool = Field(True, description="false only in development")
    default: str = Field("100/minute;10/second", description="per user")
    login_per_account: str = Field("5/minute", description="tries at one account")
    login_per_address: str = Field("20/minute", description="tries from one address; of IPv6 the /64 counts as one")
    failed_per_address: str = Field("60/minute", description="wrong API keys and ended log-ins from one address")
    key_requests: str = Field(
        "600/minute;50/second", description="per API key; ingest counts by rows, and here when it was refused"
    )
    ingest_rows: str = Field("2000000/minute", description="rows per API key")


class HttpSettings(Group):
    host: str = Field("127.0.0.1", description="address to listen on")
    trusted_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        description="Host headers answered, without port, each in full; `*` for any",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of proxies whose `X-Forwarded-For` is believed, as 10.0.0.0/8"
    )
    max_body_bytes: int = Field(1 << 20, ge=1024, description="limit of an ordinary body")
    max_batch_bytes: int = Field(16 << 20, ge=1024, description="limit of a batch of predictions or labels")
    head_timeout_s: float = Field(
        10.0, gt=0, description="how long a client may take to send a request's head, or to go on after its answer"
    )
    body_timeout_s: float = Field(30.0, gt=0, description="how long a client may take to send its body")
    drain_timeout_s: float = Field(20.0, gt=0, description="how long requests under way may take at shutdown")


class TrackingSettings(Group):
    group_rows: int = Field(4000, ge=1, le=65_536, description="rows that share one transaction at most")
    max_batch_rows: int = Field(50_000, ge=1, le=65_536, description="rows of one request at most")
    values_per_segment: int = Field(64, ge=1, le=1000, description="values per segment key; the rest is `__other__`")
    fold_interval_s: float = Field(1.0, gt=0, le=60, description="how often deltas are folded into rollups")
    fold: bool = Field(True, description="whether this API process folds; one at least must, workers don't")


class RetentionSettings(Group):
    days: int = Field(730, ge=1, le=36_500, description="raw predictions and labels live this long; rollups longer")


class JobsSettings(Group):
    worker: bool = Field(
        False, description="whether `assay serve` starts a worker beside itself; `assay run` always does"
    )
    concurrency: int = Field(2, ge=1, le=64, description="jobs that a worker does at once")
    heartbeat_s: float = Field(10.0, ge=0.1, le=60, description="how often a worker says that it is alive")
    stalled_s: float = Field(
        30.0, ge=0.3, le=600, description="a worker silent for so long is lost; its jobs begin anew"
    )
    retry_wait_s: float = Field(
        5.0, ge=0, le=3600, description="before a failed job's second attempt; then five times it"
    )
    stop_grace_s: float = Field(20.0, ge=0, le=300, description="how long jobs under way may take at shutdown")


class MetricsSettings(Group):
    token: SecretStr | None = Field(None, description="Bearer token of `/metrics`; required in production")
    worker_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="port on which an `assay worker` tells its metrics (ASSAY_HTTP__HOST is the address); unset: none. "
        "A server tells those of the worker beside it",
    )


class TelemetrySettings(Group):
    otlp_endpoint: str | None = Field(
        None, description="sends spans to this OpenTelemetry collector (OTLP over HTTP), as http://collector:4318"
    )
    sampled: float = Field(1.0, ge=0, le=1, description="share of the traces begun here that are sent")


class LogSettings(Group):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged at least")
    format: Literal["json", "console"] = Field("json", description="json for machines, console for a terminal")


class Settings(BaseSettings):
    """All settings of a process."""

    model_config = SettingsConfigDict(
        env_prefix="ASSAY_",
        env_nested_delimiter="__",
        env_file=".env",
        dotenv_filtering="only_existing",  # compose and others keep theirs there too; `mistyped` judges ours
        enable_decoding=False,  # a group reads its lists itself, and says which one can't be read
        env_ignore_empty=True,  # `ASSAY_REDIS_URL=` is how a compose file says: unset
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    environment: Environment = Field(Environment.DEVELOPMENT, description="production refuses unsafe settings")
    port: int = Field(8080, ge=0, le=65_535, description="port to listen on")
    data_dir: Path = Field(Path(".assay"), description="embedded database, secrets, state of the demo")
    admin_email: str | None = Field(
        None, description="makes the first admin, by the password below, where there is none"
    )
    admin_password: SecretStr | None = Field(None, description="first admin's password, at least 12 characters")
    redis_url: SecretStr | None = Field(
        None, description="where processes count rate limits together; unset: each for itself"
    )
    database: DatabaseSettings = DatabaseSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitsSettings = LimitsSettings()
    http: HttpSettings = HttpSettings()
    tracking: TrackingSettings = TrackingSettings()
    retention: RetentionSettings = RetentionSettings()
    jobs: JobsSettings = JobsSettings()
    metrics: MetricsSettings = MetricsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @model_validator(mode="after")
    def _silence_is_longer_than_a_heartbeat(self) -> "Settings":
        if self.jobs.stalled_s < 2 * self.jobs.heartbeat_s:
            raise ValueError(
                "ASSAY_JOBS__STALLED_S must be at least twice ASSAY_JOBS__HEARTBEAT_S: live workers would be lost"
            )
        return self

    @model_validator(mode="after")
    def _secret_is_long(self) -> "Settings":
        given = [("ASSAY_AUTH__SECRET", self.auth.secret)]
        given += [("each of ASSAY_AUTH__RETIRED_SECRETS", secret) for secret in self.auth.retired_secrets]
        for name, secret in given:
            if secret is not None and len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
                raise ValueError(f"{name} must have at least {MIN_SECRET_BYTES} bytes: `openssl rand -base64 48`")
        return self

    @model_validator(mode="after")
    def _keys_are_keys(self) -> "Settings":
        current, retired = self.auth.signing_key, self.auth.retired_signing_keys
        name = "ASSAY_AUTH__SIGNING_KEY"
        try:
            if current is not None:
                pem.private_key(current.get_secret_value())
            name = "each of ASSAY_AUTH__RETIRED_SIGNING_KEYS"
            [pem.public_key(key.get_secret_value()) for key in retired]
        except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
            raise ValueError(
                f"{name} must be a PEM key on P-256: `openssl ecparam -name prime256v1 -genkey -noout`"
            ) from None
        if retired and current is None:
            raise ValueError("ASSAY_AUTH__RETIRED_SIGNING_KEYS needs ASSAY_AUTH__SIGNING_KEY: there is one algorithm")
        return self

    @model_validator(mode="after")
    def _addresses_are_addresses(self) -> "Settings":
        database, redis, email = self.database.url, self.redis_url, self.admin_email
        if database is not None:
            dsn.read(database.get_secret_value()).demand_files()
        if redis is not None and not redis.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("ASSAY_REDIS_URL must be redis://host:6379/0 (or rediss://…), or unset")
        if email is not None and not is_address(email):
            raise ValueError("ASSAY_ADMIN_EMAIL must be an e-mail address, such as ada@example.com")
        collector = self.telemetry.otlp_endpoint
        if collector is not None and not collector.startswith(("http://", "https://")):
            raise ValueError(
                "ASSAY_TELEMETRY__OTLP_ENDPOINT must be an address such as http://collector:4318, or unset"
            )
        if not all(name == "*" or is_host(name) for name in self.http.trusted_hosts):
            raise ValueError(
                "ASSAY_HTTP__TRUSTED_HOSTS must be whole host names without scheme, port and path, such as "
                "assay.example.com,[::1]; `*` alone stands for any"
            )
        try:
            [ip_network(proxy) for proxy in self.http.trusted_proxies]
        except ValueError:
            raise ValueError("ASSAY_HTTP__TRUSTED_PROXIES must be addresses or networks, such as 10.0.0.0/8") from None
        return self

    @model_validator(mode="after")
    def _limits_are_rates(self) -> "Settings":
        for name in LimitsSettings.model_fields.keys() - {"enabled"}:
            if not all(map(_RATE.fullmatch, getattr(self.limits, name).split(";"))):
                raise ValueError(
                    f"ASSAY_LIMITS__{name.upper()} must be rates by semicolons, such as 100/minute;10/second"
                )
        return self

    @model_validator(mode="after")
    def _first_password_is_long(self) -> "Settings":
        password = self.admin_password
        if password is not None and len(normalised(password.get_secret_value())) < MIN_PASSWORD:
            raise ValueError(f"ASSAY_ADMIN_PASSWORD must have at least {MIN_PASSWORD} characters")
        return self

    @model_validator(mode="after")
    def _production_is_safe(self) -> "Settings":
        if not self.production:
            return self
        missing = [
            name
            for name, value in (("ASSAY_AUTH__SECRET", self.auth.secret), ("ASSAY_METRICS__TOKEN", self.metrics.token))
            if value is None
        ]
        if missing:
            raise ValueError(f"production needs {' and '.join(missing)}")
        if self.metrics.token is not None and len(self.metrics.token.get_secret_value().strip()) < MIN_METRICS_TOKEN:
            raise ValueError(
                f"ASSAY_METRICS__TOKEN must have at least {MIN_METRICS_TOKEN} characters: `openssl rand -base64 24`"
            )
        self._demand_unguessable()
        if not self.limits.enabled:
            raise ValueError("ASSAY_LIMITS__ENABLED=false is for development only")
        for name, widest in WIDEST_LOGIN.items():
            if _a_minute(getattr(self.limits, name)) > widest:
                raise ValueError(f"ASSAY_LIMITS__{name.upper()} lets passwords be guessed: at most {widest}/minute")
        if "*" in self.http.trusted_hosts:
            raise ValueError("ASSAY_HTTP__TRUSTED_HOSTS must name the hosts in production")
        return self

    def _demand_unguessable(self) -> None:
        guessing = import_module("app.core.guessing")  # takes a tenth of a second, and production alone asks
        auth, token = self.auth, self.metrics.token
        given = [("ASSAY_AUTH__SECRET", auth.secret, guessing.OFFLINE, "`openssl rand -base64 48` makes another")]
        given += [
            ("one of ASSAY_AUTH__RETIRED_SECRETS", secret, guessing.OFFLINE, "leave it out, people log in again")
            for secret in auth.retired_secrets
        ]
        given += [("ASSAY_METRICS__TOKEN", token, guessing.ONLINE, "`openssl rand -base64 24` makes another")]
        for name, secret, least, mend in given:
            if secret is not None and guessing.guessable(secret.get_secret_value(), least):
                raise ValueError(f"{name} can be guessed: {mend}")


def _a_minute(rates: str) -> float:
    """What all of them together let through, in the long run."""
    each = [found.groups("1") for found in map(_RATE.fullmatch, rates.split(";")) if found]
    return min(int(n) / int(windows) * _IN_A_MINUTE[unit] for n, windows, unit in each)

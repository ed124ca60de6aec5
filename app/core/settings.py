"""Every setting, in groups; one frozen object, built where a process starts and handed down.

A variable is `ASSAY_<GROUP>__<KEY>` (`ASSAY_DATABASE__URL`); those without a group are the fields of `Settings` itself.
"""

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_PASSWORD = 12
MIN_DISTINCT = 12  # 48 random bytes in base64 have about 40 different characters; fewer than 12 come from a keyboard
_GUESSED = ("changeme", "change-me", "change_me", "password", "default")
MIN_SECRET_BYTES = 32  # HS256 wants a key no shorter than its hash (RFC 7518, 3.2)


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Group):
    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/name; unset: an embedded server in the data directory"
    )
    pool_size: int = Field(8, ge=1, le=100, description="connections of the ORM pool, per process")
    hot_pool_size: int = Field(8, ge=2, le=100, description="connections of the ingest and trend pool, per process")
    pool_timeout_s: float = Field(1.0, gt=0, le=30, description="how long to wait for a connection before 503")
    command_timeout_s: float = Field(5.0, gt=0, le=300, description="after this a statement is given up (503)")
    run_as: str = Field(
        "assay", description="system user of the embedded server when started by root (made if missing)"
    )


class AuthSettings(Group):
    secret: SecretStr | None = Field(
        None,
        description="signs tokens, at least 32 random bytes; unset in development: made and kept in the data directory",
    )
    token_expiry: int = Field(3600, ge=60, le=86_400, description="seconds an access token lives")
    issuer: str = Field("assay", description="`iss` of our tokens")
    audience: str = Field("assay-api", description="`aud` of our tokens")


class LimitsSettings(Group):
    enabled: bool = Field(True, description="false only in development")
    default: str = Field("100/minute;10/second", description="per user")
    login_per_account: str = Field("5/minute", description="tries at one account")
    login_per_address: str = Field("20/minute", description="tries from one address")
    ingest_rows: str = Field("2000000/minute", description="rows per API key")


class HttpSettings(Group):
    host: str = Field("127.0.0.1", description="address to listen on")
    trusted_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host headers answered; `*` for any"
    )
    max_body_bytes: int = Field(1 << 20, ge=1024, description="limit of an ordinary body")
    max_batch_bytes: int = Field(16 << 20, ge=1024, description="limit of a batch of predictions or labels")
    body_timeout_s: float = Field(30.0, gt=0, description="how long a client may take to send its body")
    drain_timeout_s: float = Field(20.0, gt=0, description="how long requests under way may take at shutdown")


class TrackingSettings(Group):
    group_rows: int = Field(4000, ge=1, le=65_536, description="rows that share one transaction at most")
    max_batch_rows: int = Field(50_000, ge=1, le=65_536, description="rows of one request at most")
    values_per_segment: int = Field(64, ge=1, le=1000, description="values per segment key; the rest is `__other__`")
    fold_interval_s: float = Field(1.0, gt=0, le=60, description="how often deltas are folded into rollups")
    fold: bool = Field(True, description="whether this process folds; one folder per model works at a time anyway")


class RetentionSettings(Group):
    days: int = Field(730, ge=1, le=36_500, description="raw predictions and labels live this long; rollups longer")


class MetricsSettings(Group):
    token: SecretStr | None = Field(None, description="Bearer token of `/metrics`; required in production")


class LogSettings(Group):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged at least")
    format: Literal["json", "console"] = Field("json", description="json for machines, console for a terminal")


class Settings(BaseSettings):
    """All settings of a process."""

    model_config = SettingsConfigDict(
        env_prefix="ASSAY_",
        env_nested_delimiter="__",
        env_file=".env",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    environment: Environment = Field(Environment.DEVELOPMENT, description="production refuses unsafe settings")
    port: int = Field(8080, ge=0, le=65_535, description="port to listen on")
    data_dir: Path = Field(Path(".assay"), description="embedded database, secrets, state of the demo")
    admin_email: str | None = Field(None, description="creates the first admin, with the password below")
    admin_password: SecretStr | None = Field(None, description="first admin's password, at least 12 characters")
    redis_url: SecretStr | None = Field(None, description="shared rate limits of several processes; unset: memory")
    database: DatabaseSettings = DatabaseSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitsSettings = LimitsSettings()
    http: HttpSettings = HttpSettings()
    tracking: TrackingSettings = TrackingSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @model_validator(mode="after")
    def _secret_is_long(self) -> "Settings":
        secret = self.auth.secret
        if secret is not None and len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
            raise ValueError(
                f"ASSAY_AUTH__SECRET must have at least {MIN_SECRET_BYTES} bytes: `openssl rand -base64 48`"
            )
        return self

    @model_validator(mode="after")
    def _first_password_is_long(self) -> "Settings":
        password = self.admin_password
        if password is not None and len(password.get_secret_value()) < MIN_PASSWORD:
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
        secret = self.auth.secret.get_secret_value() if self.auth.secret else ""
        if len(set(secret)) < MIN_DISTINCT or any(word in secret.lower() for word in _GUESSED):
            raise ValueError("ASSAY_AUTH__SECRET can be guessed: `openssl rand -base64 48` makes one that can't")
        if not self.limits.enabled:
            raise ValueError("ASSAY_LIMITS__ENABLED=false is for development only")
        if "*" in self.http.trusted_hosts:
            raise ValueError("ASSAY_HTTP__TRUSTED_HOSTS must name the hosts in production")
        return self

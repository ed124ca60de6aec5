"""The JSON of authentication."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StringConstraints,
    field_validator,
)

from app.auth.keys import NewKey
from app.auth.principal import Principal
from app.auth.scopes import KEY_SCOPES, Role
from app.auth.service import Grant
from app.core import emails, passwords
from app.core.asked import Moment
from app.db.paging import Page
from app.db.tables.auth import ApiKey, User

Email = Annotated[
    str,
    StringConstraints(max_length=emails.MAX_LENGTH, pattern=emails.PATTERN),
    AfterValidator(emails.normalised),
    Field(max_length=emails.MAX_LENGTH, examples=["ada@example.com"]),  # as it is kept: some texts grow
]


def _spelled(password: object) -> object:
    """What is too long in any spelling stays: it is refused for its length, and costs no more than that."""
    if isinstance(password, str) and len(password) <= passwords.MAX_GIVEN:
        return passwords.normalised(password)
    return password


Password = Annotated[
    SecretStr,
    BeforeValidator(_spelled),
    Field(
        min_length=passwords.MIN_LENGTH,
        max_length=passwords.MAX_LENGTH,
        examples=[passwords.EXAMPLE],
        description="several random words; the example is too well known to be taken",
    ),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
_END = datetime(9999, 1, 1, tzinfo=UTC)  # behind it a time in another zone leaves the calendar


def _expressible(moment: datetime) -> datetime:
    """What `Field(lt=…)` would refuse with Python's words for a time."""
    if moment >= _END:
        raise ValueError("must be before 9999-01-01T00:00:00Z")
    return moment


ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Body(BaseModel):
    """Base of bodies: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class TokenAnswer(Answer):
    """What a log-in or a refresh gives. `refresh_token` is left out where it went into a cookie."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCIs…"])
    refresh_token: str | None = Field(None, examples=["aqr_4t7S0Qe…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  a type, not a secret
    expires_in: int = Field(examples=[3600], description="seconds the access token lives")
    scope: str = Field(examples=["analytics:read models:read"], description="what the caller may do, by spaces")

    @classmethod
    def of(cls, grant: Grant, *, in_cookie: bool) -> "TokenAnswer":
        return cls(
            access_token=grant.access_token,
            refresh_token=None if in_cookie else grant.refresh_token,
            expires_in=grant.expires_in,
            scope=grant.scope,
        )


class RefreshBody(Body):
    refresh_token: Annotated[str, StringConstraints(max_length=512)] = Field(examples=["aqr_4t7S0Qe…"])


class MeAnswer(Answer):
    """The caller."""

    subject: str = Field(examples=["user:1"])
    kind: Literal["user", "key"] = Field(examples=["user"])
    name: str = Field(examples=["ada@example.com"], description="a user's e-mail address, a key's name")
    role: Role | None = Field(examples=["admin"], description="of a user; keys have none")
    scopes: list[str] = Field(examples=[["analytics:read", "models:read"]])
    models: list[str] | None = Field(examples=[None], description="the models a key is limited to; null: all")

    @classmethod
    def of(cls, principal: Principal) -> "MeAnswer":
        return cls(
            subject=principal.subject,
            kind=principal.kind,
            name=principal.name,
            role=None if principal.role is None else Role(principal.role),
            scopes=sorted(principal.scopes),
            models=None if principal.models is None else list(principal.models),
        )


class UserBody(Body):
    email: Email
    password: Password
    role: Role = Field(examples=["data_scientist"])


class UserChange(Body):
    """Members left out stay as they are."""

    role: Role | None = Field(None, examples=["team_lead"])
    disabled: StrictBool | None = Field(None, examples=[False])
    password: Password | None = None


class UserAnswer(Answer):
    id: int = Field(examples=[7])
    email: str = Field(examples=["ada@example.com"])
    role: Role = Field(examples=["data_scientist"])
    disabled: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-01T00:00:00Z"])

    @classmethod
    def of(cls, user: User) -> "UserAnswer":
        return cls(
            id=user.id,
            email=user.email,
            role=Role(user.role),
            disabled=user.disabled_at is not None,
            created_at=user.created_at,
        )


class UsersAnswer(Answer):
    users: list[UserAnswer]
    next_cursor: str | None = Field(examples=[None])

    @classmethod
    def of(cls, page: Page[User]) -> "UsersAnswer":
        return cls(users=[UserAnswer.of(user) for user in page.rows], next_cursor=page.next_cursor)


class ApiKeyBody(Body):
    name: Name = Field(examples=["checkout service"])
    scopes: Annotated[list[str], Field(min_length=1, max_length=32)] = Field(
        examples=[["predictions:write", "labels:write"]], description="of those that a key can have"
    )
    models: Annotated[list[ModelId], Field(min_length=1, max_length=100)] | None = Field(
        None, examples=[["fraud"]], description="left out: all models"
    )
    expires_at: Annotated[Moment, AfterValidator(_expressible)] | None = Field(
        None, examples=["2027-01-01T00:00:00Z"], description="left out: never"
    )

    @field_validator("scopes")
    @classmethod
    def _known(cls, scopes: list[str]) -> list[str]:
        if not set(scopes) <= KEY_SCOPES:
            raise ValueError(f"a key can have {', '.join(sorted(KEY_SCOPES))}")
        return scopes


class ApiKeyAnswer(Answer):
    id: str = Field(examples=["k3v9x2m4q7ab"])
    name: str = Field(examples=["checkout service"])
    scopes: list[str] = Field(examples=[["labels:write", "predictions:write"]])
    models: list[str] | None = Field(examples=[["fraud"]])
    created_at: datetime = Field(examples=["2026-01-01T00:00:00Z"])
    expires_at: datetime | None = Field(examples=[None])
    revoked_at: datetime | None = Field(examples=[None])
    last_used_at: datetime | None = Field(
        examples=["2026-01-02T08:30:00Z"], description="to within a minute; null: not yet"
    )

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyAnswer":
        return cls.model_validate(key, from_attributes=True)


class NewApiKeyAnswer(ApiKeyAnswer):
    key: str = Field(examples=["aqt_k3v9x2m4q7ab_…"], description="shown once, and again to its `Idempotency-Key`")

    @classmethod
    def with_text(cls, new: NewKey) -> "NewApiKeyAnswer":
        return cls(**ApiKeyAnswer.of(new.key).model_dump(), key=new.text)


class ApiKeysAnswer(Answer):
    keys: list[ApiKeyAnswer]
    next_cursor: str | None = Field(examples=[None])

    @classmethod
    def of(cls, page: Page[ApiKey]) -> "ApiKeysAnswer":
        return cls(keys=[ApiKeyAnswer.of(key) for key in page.rows], next_cursor=page.next_cursor)


class JwkAnswer(Answer):
    """A public key (RFC 7517)."""

    kty: Literal["EC"] = Field(examples=["EC"])
    crv: Literal["P-256"] = Field(examples=["P-256"])
    x: str = Field(examples=["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"])
    y: str = Field(examples=["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"])
    kid: str = Field(examples=["oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"])
    alg: Literal["ES256"] = Field(examples=["ES256"])
    use: Literal["sig"] = Field(examples=["sig"])


class JwksAnswer(Answer):
    keys: list[JwkAnswer]

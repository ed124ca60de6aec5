"""HTTP of authentication: tokens, the caller, users, API keys."""

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, Path, Query, Request, Response

from app.auth.errors import (
    ApiKeyNotFound,
    EmailTaken,
    GuessablePassword,
    InvalidCredentials,
    InvalidRefreshToken,
    LastAdmin,
    NoLogIn,
    UserNotFound,
)
from app.auth.guards import Authenticated, Public, Scoped
from app.auth.keyring import KeyRing
from app.auth.keys import ApiKeys
from app.auth.limits import PrincipalLimits
from app.auth.principal import Principal
from app.auth.schemas import (
    ApiKeyBody,
    ApiKeysAnswer,
    JwkAnswer,
    JwksAnswer,
    MeAnswer,
    NewApiKeyAnswer,
    RefreshBody,
    TokenAnswer,
    UserAnswer,
    UserBody,
    UserChange,
    UsersAnswer,
)
from app.auth.service import ABSOLUTE, Grant, LogIns
from app.auth.users import Users
from app.core.bodies import demand_form
from app.core.direct import BeforeBody
from app.core.emails import MAX_LENGTH as MAX_EMAIL
from app.core.errors import InvalidRequest, UnsupportedMediaType
from app.core.exchange import exchange_of
from app.core.http import responses
from app.core.limits import TooManyRequests
from app.core.passwords import EXAMPLE, MAX_GIVEN
from app.core.provide import provided
from app.core.settings import Settings
from app.db.paging import PageAsked
from app.idempotency.route import OnceRoute

router = APIRouter(tags=["auth"])
once = APIRouter(route_class=OnceRoute)
keys_router = APIRouter(tags=["auth"])  # at the root, where others look for it

COOKIE = "assay_refresh"
CREDENTIALS_BYTES = 8 << 10
JWKS_FRESH_S = 300  # a new key signs while others may not know it for so long; they ask again for a kid they don't know
COOKIE_PATH = "/api/v1/auth/refresh"  # sent nowhere else

LogInsDep = Annotated[LogIns, Depends(provided(LogIns))]
UsersDep = Annotated[Users, Depends(provided(Users))]
ApiKeysDep = Annotated[ApiKeys, Depends(provided(ApiKeys))]
SettingsDep = Annotated[Settings, Depends(provided(Settings))]
KeyRingDep = Annotated[KeyRing, Depends(provided(KeyRing))]
Caller = Annotated[Principal, Authenticated]
Manager = Annotated[Principal, Scoped("users:manage")]
Page = Annotated[PageAsked, Query()]
UserId = Annotated[int, Path(ge=1, le=2**31 - 1, description="a user's number")]
KeyId = Annotated[str, Path(pattern=r"^[a-z2-7]{12}$", description="a key's id")]


class _FromStrangers(BeforeBody):
    """Of a body that anybody may send little is read."""

    async def asked(self, request: Request) -> None:
        exchange_of(request.scope).limit_body(CREDENTIALS_BYTES)


class _AForm(_FromStrangers):
    """What is none is a try, too."""

    async def asked(self, request: Request) -> None:
        await super().asked(request)
        try:
            demand_form(request.headers.get("content-type", ""))
        except UnsupportedMediaType:
            await _limits(request).login(None, exchange_of(request.scope))
            raise


class _CountedByAddress(_FromStrangers):
    """Also what is no request to refresh is a try."""

    async def asked(self, request: Request) -> None:
        await super().asked(request)
        await _limits(request).anonymous(exchange_of(request.scope))


async def _tried(request: Request) -> None:
    """Before the form is validated: what is refused for that is a try, too."""
    account = (await request.form()).get("username")
    named = isinstance(account, str) and len(account) <= MAX_EMAIL  # nobody has a longer name
    await _limits(request).login(str(account) if named else None, exchange_of(request.scope))


def _limits(request: Request) -> PrincipalLimits:
    limits: PrincipalLimits = request.app.state.services[PrincipalLimits]
    return limits


@router.post(
    "/auth/token",
    summary="Log in",
    dependencies=[Public, Depends(_AForm()), Depends(_tried)],
    responses=responses(InvalidCredentials, TooManyRequests),
)
async def log_in(
    request: Request,
    response: Response,
    log_ins: LogInsDep,
    settings: SettingsDep,
    username: Annotated[
        str,
        Form(
            max_length=MAX_EMAIL,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="e-mail address",
            examples=["ada@example.com"],
        ),
    ],
    password: Annotated[str, Form(max_length=MAX_GIVEN, examples=[EXAMPLE])],
    cookie: Annotated[
        bool, Form(description="for browsers: the refresh token goes into an HttpOnly cookie instead of the answer")
    ] = False,
) -> TokenAnswer:
    """OAuth2 password form: an access token for `Authorization: Bearer …`, and a refresh token for when it has expired.

    Five tries a minute at one account, twenty from one address.
    """
    grant = await log_ins.log_in(username, password)
    return _granted(request, response, settings, grant, in_cookie=cookie)


@router.post(
    "/auth/refresh",
    summary="Get a new access token",
    dependencies=[Public, Depends(_CountedByAddress())],
    responses=responses(InvalidRefreshToken, TooManyRequests),
)
async def refresh(
    request: Request,
    response: Response,
    log_ins: LogInsDep,
    settings: SettingsDep,
    body: RefreshBody | None = None,
    assay_refresh: Annotated[str | None, Cookie(max_length=512, description="of a log-in with `cookie`")] = None,
) -> TokenAnswer:
    """Takes the refresh token of the body, else of the cookie, and gives its successor: each is good for one use.

    A second use ends the whole log-in, unless the same client asks again within 10 seconds (its answer was lost): it
    gets the same successor.
    """
    token = assay_refresh if body is None else body.refresh_token
    if token is None:
        raise InvalidRefreshToken("send `refresh_token` in the body, or the cookie of a log-in")
    grant = await log_ins.refresh(token, _client(request))
    return _granted(request, response, settings, grant, in_cookie=body is None)


@router.post("/auth/logout", summary="Log out", status_code=204, responses=responses(NoLogIn))
async def log_out(principal: Caller, response: Response, log_ins: LogInsDep) -> None:
    """Ends the log-in that the caller's token came from; its access and refresh tokens are refused from now on."""
    await log_ins.log_out(principal)
    response.delete_cookie(COOKIE, path=COOKIE_PATH, httponly=True, samesite="strict")


@router.get("/auth/me", summary="Who am I")
async def me(principal: Caller) -> MeAnswer:
    """The caller as the service sees it, and what it may do."""
    return MeAnswer.of(principal)


@once.post("/users", summary="Make a user", status_code=201, responses=responses(EmailTaken, GuessablePassword))
async def create_user(_: Manager, body: UserBody, users: UsersDep) -> UserAnswer:
    """A person with a role. Passwords have 12 to 128 characters and are not among those that are tried first."""
    return UserAnswer.of(await users.create(body.email, body.password.get_secret_value(), body.role))


@router.get("/users", summary="List users")
async def list_users(_: Manager, asked: Page, users: UsersDep) -> UsersAnswer:
    """All users, in the order they were made."""
    return UsersAnswer.of(await users.list(asked.cursor, asked.limit))


@router.patch(
    "/users/{user_id}", summary="Change a user", responses=responses(UserNotFound, LastAdmin, GuessablePassword)
)
async def change_user(_: Manager, user_id: UserId, body: UserChange, users: UsersDep) -> UserAnswer:
    """Role, password, disabled. Access tokens signed before end; a new password or being disabled ends all log-ins."""
    password = None if body.password is None else body.password.get_secret_value()
    return UserAnswer.of(await users.change(user_id, role=body.role, disabled=body.disabled, password=password))


@once.post("/api-keys", summary="Make an API key", status_code=201, responses=responses(InvalidRequest))
async def create_api_key(manager: Manager, body: ApiKeyBody, keys: ApiKeysDep) -> NewApiKeyAnswer:
    """A key for a machine, limited to scopes and, if wanted, to models and in time. `key` is shown this once."""
    new = await keys.create(manager, name=body.name, scopes=body.scopes, models=body.models, expires_at=body.expires_at)
    return NewApiKeyAnswer.with_text(new)


@router.get("/api-keys", summary="List API keys")
async def list_api_keys(_: Manager, asked: Page, keys: ApiKeysDep) -> ApiKeysAnswer:
    """All keys, revoked ones too; never their secret."""
    return ApiKeysAnswer.of(await keys.list(asked.cursor, asked.limit))


@router.delete("/api-keys/{key_id}", summary="Revoke an API key", status_code=204, responses=responses(ApiKeyNotFound))
async def revoke_api_key(_: Manager, key_id: KeyId, keys: ApiKeysDep) -> None:
    """The key is refused everywhere within five seconds."""
    await keys.revoke(key_id)


router.include_router(once)


@keys_router.get("/.well-known/jwks.json", summary="Keys that verify access tokens", dependencies=[Public])
async def jwks(response: Response, ring: KeyRingDep) -> JwksAnswer:
    """For services that verify access tokens themselves (RFC 7517): those of ES256 that are valid now.

    Empty where tokens are signed with a secret of our own (HS256).
    """
    response.headers["Cache-Control"] = f"public, max-age={JWKS_FRESH_S}"
    return JwksAnswer(keys=[JwkAnswer.model_validate(key) for key in ring.public()])


def _granted(request: Request, response: Response, settings: Settings, grant: Grant, *, in_cookie: bool) -> TokenAnswer:
    response.headers["Cache-Control"] = "no-store"
    if in_cookie:
        response.set_cookie(
            COOKIE,
            grant.refresh_token,
            max_age=int(ABSOLUTE.total_seconds()),
            path=COOKIE_PATH,
            secure=settings.production or request.scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
    return TokenAnswer.of(grant, in_cookie=in_cookie)


def _client(request: Request) -> str:
    """What tells a client that repeats itself from another one that has its token."""
    return f"{exchange_of(request.scope).client}|{request.headers.get('user-agent', '')}"

"""`assay api-key`: keys for machines."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.auth.errors import ApiKeyNotFound
from app.auth.principal import Principal
from app.auth.schemas import ApiKeyBody
from app.auth.scopes import KEY_SCOPES, Role
from app.cli.accounts import Accounts, everything, on_accounts
from app.cli.console import fail, note, results, subcommands, tell
from app.cli.environment import load
from app.core.errors import InvalidRequest
from app.core.sentences import sentence
from app.db.tables.auth import ApiKey, User

commands = subcommands("API keys for machines. Works on the database itself, so it needs its address and no log-in.")

# By the member of the API's body.
_OPTIONS = {"name": "--name", "scopes": "--scope", "models": "--model", "expires_at": "--expires"}


@commands.command(
    epilog="Example: assay api-key create --name scorer --scope predictions:write --scope labels:write --model fraud"
)
def create(
    name: Annotated[str, typer.Option(help="what the key is for")],
    scope: Annotated[list[str], typer.Option(help=f"what it may do, repeatable: {', '.join(sorted(KEY_SCOPES))}")],
    model: Annotated[list[str] | None, typer.Option(help="limits it to this model, repeatable; default: all")] = None,
    expires: Annotated[datetime | None, typer.Option(help="UTC; default: never")] = None,
) -> None:
    """Make a key. It is printed once, alone on standard output; only its hash is kept."""
    unknown = sorted(set(scope) - KEY_SCOPES)
    if unknown:
        fail(f"--scope {unknown[0]}: a key can have {', '.join(sorted(KEY_SCOPES))}", status=2)

    ends = None if expires is None else expires.replace(tzinfo=expires.tzinfo or UTC)
    try:
        asked = ApiKeyBody(name=name, scopes=scope, models=model or None, expires_at=ends)
    except ValidationError as error:
        fail(_sentence(error.errors()[0]), status=2)

    async def work(here: Accounts) -> str:
        made = await here.keys.create(
            await _an_admin(here),
            name=asked.name,
            scopes=asked.scopes,
            models=asked.models,
            expires_at=asked.expires_at,
        )
        return made.text

    try:
        text = on_accounts(load(), work)
    except InvalidRequest as problem:
        fail(f"--expires: {problem.detail}", status=2)
    note("The key; it is shown this once:")
    results.print(text, markup=False)


@commands.command("list", epilog="Example: assay api-key list")
def list_keys() -> None:
    """List the keys, revoked ones too."""

    async def work(here: Accounts) -> list[ApiKey]:
        return await everything(here.keys.list)

    titles = ("id", "name", "scopes", "models", "made", "ends", "last used", "revoked")
    tell(map(_row, on_accounts(load(), work)), *titles, whole="id")


@commands.command(epilog="Example: assay api-key revoke k3v9x2m4q7ab")
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="as `assay api-key list` shows it")]) -> None:
    """End a key; running servers notice within seconds."""

    async def work(here: Accounts) -> None:
        await here.keys.revoke(key_id)

    try:
        on_accounts(load(), work)
    except ApiKeyNotFound as problem:
        fail(problem.detail)
    note(f"{key_id} is revoked")


async def _an_admin(here: Accounts) -> Principal:
    """On whose behalf the command acts: keys name who made them."""
    admins = [each for each in await everything(here.users.list) if each.role == Role.ADMIN and not each.disabled_at]
    if admins:
        return _as_principal(admins[0])
    return fail("there is no admin yet: start the server once with ASSAY_ADMIN_EMAIL and ASSAY_ADMIN_PASSWORD")


def _sentence(problem: Any) -> str:
    given = problem["input"]
    shown = f" {given!r}" if isinstance(given, str) else ""
    return f"{_OPTIONS[str(problem['loc'][0])]}{shown}: {sentence(problem)}"


def _as_principal(user: User) -> Principal:
    return Principal(f"user:{user.id}", "user", KEY_SCOPES, name=user.email, role=user.role, user_id=user.id)


def _row(key: ApiKey) -> tuple[str, ...]:
    models = "all" if key.models is None else " ".join(key.models)
    days = map(_day, (key.created_at, key.expires_at, key.last_used_at, key.revoked_at))
    return key.id, key.name, " ".join(key.scopes), models, *days


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}"

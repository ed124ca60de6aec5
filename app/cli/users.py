"""`assay user`: the people who log in."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from app.auth.errors import EmailTaken, GuessablePassword, LastAdmin, UserNotFound
from app.auth.scopes import Role
from app.cli.accounts import Accounts, everything, on_accounts
from app.cli.console import fail, note, subcommands, tell
from app.cli.environment import load
from app.core.emails import is_address
from app.core.passwords import MAX_LENGTH, MIN_LENGTH, normalised
from app.db.tables.auth import User

commands = subcommands("Users. Works on the database itself, so it needs its address and no log-in.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="what they log in with")]


@commands.command(epilog="Example: assay user create ada@example.com --role data_scientist")
def create(
    email: Email,
    role: Annotated[Role, typer.Option(help="what they may do")] = Role.VIEWER,
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            envvar="ASSAY_NEW_PASSWORD",
            help=f"at least {MIN_LENGTH} characters; asked for if left out",
        ),
    ] = "",
) -> None:
    """Make a user."""
    if not MIN_LENGTH <= len(normalised(password)) <= MAX_LENGTH:
        fail(f"the password must have {MIN_LENGTH} to {MAX_LENGTH} characters", status=2)
    if not is_address(email):
        fail(f"{email!r} is not an e-mail address", status=2)

    async def work(here: Accounts) -> None:
        await here.users.create(email, password, role)

    try:
        on_accounts(load(), work)
    except GuessablePassword as problem:
        fail(problem.detail, status=2)
    except EmailTaken as problem:
        fail(problem.detail)
    note(f"{email} may log in as {role}")


@commands.command("list", epilog="Example: assay user list")
def list_users() -> None:
    """List all users."""

    async def work(here: Accounts) -> list[User]:
        return await everything(here.users.list)

    tell(map(_row, on_accounts(load(), work)), "number", "e-mail", "role", "made", "disabled", whole="e-mail")


@commands.command(epilog="Examples: assay user disable ada@example.com · assay user disable ada@example.com --undo")
def disable(email: Email, undo: Annotated[bool, typer.Option("--undo", help="let them in again")] = False) -> None:
    """Keep a user out: all log-ins end, running servers notice within seconds."""
    _change(email, lambda here, user: here.users.change(user, disabled=not undo))
    note(f"{email} may {'log in again' if undo else 'not log in any more'}")


@commands.command(epilog="Example: assay user role ada@example.com team_lead")
def role(email: Email, role: Annotated[Role, typer.Argument(metavar="ROLE", help=f"one of {', '.join(Role)}")]) -> None:
    """Give a user another role; access tokens signed before end."""
    _change(email, lambda here, user: here.users.change(user, role=role))
    note(f"{email} is {role}")


def _change(email: str, change: Callable[[Accounts, int], Awaitable[User]]) -> None:
    async def work(here: Accounts) -> None:
        await change(here, (await here.users.by_email(email)).id)

    try:
        on_accounts(load(), work)
    except (UserNotFound, LastAdmin) as problem:
        fail(problem.detail)


def _row(user: User) -> tuple[str, ...]:
    disabled = "–" if user.disabled_at is None else f"{user.disabled_at:%Y-%m-%d %H:%M}"
    return str(user.id), user.email, user.role, f"{user.created_at:%Y-%m-%d %H:%M}", disabled

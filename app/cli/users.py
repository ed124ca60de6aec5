"""`assay user`: the people who log in."""

from typing import Annotated

import typer

from app.auth.errors import EmailTaken
from app.auth.passwords import MAX_LENGTH, MIN_LENGTH
from app.auth.scopes import Role
from app.cli.accounts import Accounts, on_accounts
from app.cli.console import fail, note, subcommands
from app.cli.environment import load

commands = subcommands("Users. Works on the database itself, so it needs its address and no log-in.")


@commands.callback()
def group() -> None:
    """Keeps `create` a subcommand while it is the only one."""


@commands.command(epilog="Example: assay user create ada@example.com --role data_scientist")
def create(
    email: Annotated[str, typer.Argument(help="what they log in with")],
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
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        fail(f"the password must have {MIN_LENGTH} to {MAX_LENGTH} characters", status=2)
    if email.count("@") != 1 or any(character.isspace() for character in email):
        fail(f"{email!r} is not an e-mail address", status=2)

    async def work(here: Accounts) -> None:
        await here.users.create(email, password, role)

    try:
        on_accounts(load(), work)
    except EmailTaken as problem:
        fail(problem.detail)
    note(f"{email} may log in as {role}")

"""`assay run`: everything on one machine, from an empty folder to a dashboard with a live demo."""

import asyncio
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from pydantic import SecretStr

from app import __version__
from app.auth.users import NO_SECOND
from app.cli.accounts import first_admin
from app.cli.beside import worker_beside
from app.cli.console import fail, note, results, subcommands
from app.cli.demo.command import arguments, environment
from app.cli.demo.options import MODEL_ID, SPEED, Speed
from app.cli.environment import load
from app.cli.hosting import hosted
from app.cli.schema import UNSAFE, NotUpgraded, refuse_unsafe, upgrade_unless_newer
from app.cli.serve import Port
from app.cli.server import PortTaken, base_url, bind
from app.cli.server import serve as serve_on
from app.cli.stopping import in_order
from app.core import logs
from app.core.emails import normalised
from app.core.errors import Unavailable
from app.core.settings import LogSettings, Settings
from app.db.embedded import EmbeddedServerError

ADMIN = "admin@example.com"  # the first admin, where ASSAY_ADMIN_EMAIL names none
commands = subcommands()
DEMO_END_S = 10.0  # the demo writes down where it is; that takes milliseconds


@commands.command(epilog="Examples: assay run · assay run --no-demo · assay run --speed 7 --port 9000")
def run(
    demo: Annotated[bool, typer.Option(help="replay a year of flights through the API")] = True,
    speed: Speed = SPEED,
    port: Port = None,
) -> None:
    """Start everything: database, schema, first admin, server, and a demo that is worth looking at."""
    settings = _quieter(load(port=port))
    logs.configure(settings.log)
    try:
        with in_order(), bind(settings) as listening, hosted(settings) as here:
            upgrade_unless_newer(here)
            refuse_unsafe(here)
            first, generated = _with_admin(here)
            url = base_url(first, listening)
            with worker_beside(first) as start_worker, _children() as children:

                def ready() -> None:
                    _welcome(url, first, generated, demo=demo)
                    start_worker()  # not before: it would take half the machine from the start
                    if demo:
                        children.append(_start_demo(first, url, speed))

                serve_on(first, listening, workers=1, ready=ready)
    except PortTaken as problem:
        fail(
            f"{problem}.\nIs Assay running already? Stop it, or choose another port: "
            f"ASSAY_PORT={settings.port + 1} ./dev run"
        )
    except (EmbeddedServerError, NotUpgraded, Unavailable, *UNSAFE) as problem:
        fail(str(problem))


def _quieter(settings: Settings) -> Settings:
    """A person reads along: warnings only, in a line a person can read, unless the environment says otherwise."""
    if "log" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"log": LogSettings(level="warning", format="console")})


def _with_admin(settings: Settings) -> tuple[Settings, str | None]:
    """Settings that name the admin there is, or the first; with a new password where nobody can log in yet and none
    was given."""
    email = settings.admin_email or ADMIN
    found = asyncio.run(first_admin(settings, email))
    if found is not None and found != normalised(email):
        if settings.admin_email is not None:
            note(NO_SECOND)
        return settings.model_copy(update={"admin_email": found, "admin_password": None}), None
    if found is not None or settings.admin_password is not None:
        return settings.model_copy(update={"admin_email": email}), None
    password = secrets.token_urlsafe(12)
    return settings.model_copy(update={"admin_email": email, "admin_password": SecretStr(password)}), password


def _welcome(url: str, settings: Settings, generated: str | None, *, demo: bool) -> None:
    email = settings.admin_email
    model = f"{url}/api/v1/analytics/trends/{MODEL_ID}?metric=accuracy&interval=day" if demo else f"{url}/api/v1/models"
    if generated:
        how = f"password: {generated}   (shown this once)"
    elif settings.admin_password is None:
        how = "with the password that its first start printed"
    else:
        how = "with the password in ASSAY_ADMIN_PASSWORD"
    shown = shlex.quote(generated) if generated else "'…'"
    results.print(
        f"""
Assay {__version__} is running.

  Dashboard    {url}/
  Swagger UI   {url}/docs
  Metrics      {url}/metrics
  Log in as    {email}   {how}

To try it in a second terminal:

  export ASSAY_ADMIN_EMAIL={shlex.quote(str(email))} ASSAY_ADMIN_PASSWORD={shown}
  curl -s {url}/api/v1/system/health
  TOKEN=$(curl -s {url}/api/v1/auth/token --data-urlencode "username=$ASSAY_ADMIN_EMAIL" \\
    --data-urlencode "password=$ASSAY_ADMIN_PASSWORD" \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
  curl -s '{model}' -H "Authorization: Bearer $TOKEN"

Ctrl-C ends it.
""",
        markup=False,
    )


def _start_demo(settings: Settings, url: str, speed: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments(url, settings, speed), env=environment(settings))  # noqa: S603


@contextmanager
def _children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the block."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(DEMO_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

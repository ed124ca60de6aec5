"""Settings as a command gets them: from the environment, with a readable refusal."""

import os
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource

from app.cli.console import fail
from app.core.mistyped import mistyped
from app.core.settings import Settings


def load(**changes: Any) -> Settings:
    """The settings of this process; `changes` (options of the command) win over the environment, None leaves it."""
    given = {name: value for name, value in changes.items() if value is not None}
    if wrong := _mistyped():
        fail("\n".join(wrong), status=2)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        fail("\n".join(_sentence(problem) for problem in error.errors(include_input=False)), status=2)
    if settings.telemetry.otlp_endpoint is not None and not _can_export():
        fail("ASSAY_TELEMETRY__OTLP_ENDPOINT needs the extra `otel`: pip install 'assay-tracker[otel]'", status=2)
    return settings


def _mistyped() -> list[str]:
    """Of the environment and of `.env`: that is compose's file too, so what is not ours is nobody's mistake there."""
    in_file = DotEnvSettingsSource(Settings, env_ignore_empty=False).env_vars
    return [*mistyped(os.environ), *(f".env: {told}" for told in mistyped(in_file))]


def _can_export() -> bool:
    return find_spec("opentelemetry.sdk") is not None


def _sentence(problem: Any) -> str:
    """`ASSAY_PORT: …`; never the value, which may be a secret."""
    path = [str(step) for step in problem["loc"]]
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"ASSAY_{'__'.join(path).upper()}: {message}" if path else message

"""The one table role × scope. It makes the guards, the documentation and the test of every route."""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    DATA_SCIENTIST = "data_scientist"
    ML_ENGINEER = "ml_engineer"
    SENIOR_DATA_SCIENTIST = "senior_data_scientist"
    TEAM_LEAD = "team_lead"
    ADMIN = "admin"


_ALL = frozenset(Role)
_MAKERS = _ALL - {Role.VIEWER}
_SENIORS = frozenset({Role.SENIOR_DATA_SCIENTIST, Role.TEAM_LEAD, Role.ADMIN})
_OPERATORS = _SENIORS | {Role.ML_ENGINEER}
_LEADS = frozenset({Role.TEAM_LEAD, Role.ADMIN})
_ADMIN = frozenset({Role.ADMIN})

ROLES_OF: Mapping[str, frozenset[Role]] = {
    "models:read": _ALL,
    "analytics:read": _ALL,
    "data:import": _ADMIN,
    "predictions:write": _MAKERS,
    "labels:write": _MAKERS,
    "models:write": _MAKERS,
    "datasets:write": _MAKERS,
    "training:run": _MAKERS,
    "comparison:read": _MAKERS,
    "comparison:run": _SENIORS,
    "deployments:manage": _OPERATORS,
    "deployments:abort": _OPERATORS,  # the part of `deployments:manage` that a machine may have: abort, roll back
    "deployments:promote": _SENIORS,
    "alerts:manage": _OPERATORS,
    "channels:manage": _OPERATORS,
    "reports:export": _LEADS,
    "system:read": _LEADS | {Role.ML_ENGINEER},
    "system:operate": _ADMIN,
    "users:manage": _ADMIN,
    "audit:read": _ADMIN,
    "purge": _ADMIN,
}
"""Which roles have a scope; every scope stands here, and nothing else is one."""

KEY_SCOPES = frozenset(
    {
        "models:read",
        "analytics:read",
        "data:import",
        "predictions:write",
        "labels:write",
        "models:write",
        "datasets:write",
        "training:run",
        "deployments:abort",
    }
)
"""What an API key can be given."""

BATCH_SCOPES = frozenset({"predictions:write", "labels:write"})
"""Operations of these scopes take bodies up to `ASSAY_HTTP__MAX_BATCH_BYTES`."""

SCOPES_OF: Mapping[Role, frozenset[str]] = {
    role: frozenset(scope for scope, roles in ROLES_OF.items() if role in roles) for role in Role
}


def table() -> str:
    """The table as Markdown, for the documentation."""
    head = "| scope | " + " | ".join(Role) + " | API key |\n|---|" + "---|" * (len(Role) + 1)
    rows = [
        f"| `{scope}` | "
        + " | ".join("✓" if role in roles else "–" for role in Role)
        + f" | {'per key' if scope in KEY_SCOPES else '–'} |"
        for scope, roles in ROLES_OF.items()
    ]
    return "\n".join([head, *rows])

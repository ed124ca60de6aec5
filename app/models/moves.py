"""The states of a version and the one table of legal moves between them; pure.

A guard is a named function that raises where a move is legal in general but not now, or not for this caller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.auth.errors import Forbidden
from app.models.errors import IllegalMove, SetupMissing

PROMOTE = "deployments:promote"
ROLL_BACK = "deployments:abort"
RETIRE = "deployments:manage"


class State(StrEnum):
    REGISTERED = "registered"
    TRACKING = "tracking"
    TRAINING = "training"
    VALIDATED = "validated"
    STAGING = "staging"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the guards know of the one who asks and the version they ask for."""

    version: str
    scopes: frozenset[str]
    set_up: bool


Guard = Callable[[Attempt], None]


def is_set_up(attempt: Attempt) -> None:
    if not attempt.set_up:
        raise SetupMissing(
            f"version {attempt.version} has no setup: POST …/tracking/setup moves it to tracking",
            version=attempt.version,
        )


def may_promote(attempt: Attempt) -> None:
    _needs(attempt, PROMOTE, "a move into production")


def may_roll_back(attempt: Attempt) -> None:
    _needs(attempt, ROLL_BACK, "a rollback")


def may_retire(attempt: Attempt) -> None:
    """Not by the scope of a rollback, which a machine may have: a rollback can be undone, this can't."""
    _needs(attempt, RETIRE, "taking a version out of production for good")


def _needs(attempt: Attempt, scope: str, what: str) -> None:
    if scope not in attempt.scopes:
        raise Forbidden(f"{what} needs the scope {scope}", scope=scope)


@dataclass(frozen=True, slots=True)
class Move:
    origin: State
    target: State
    guards: tuple[Guard, ...] = ()


MOVES: tuple[Move, ...] = (
    Move(State.REGISTERED, State.TRACKING, (is_set_up,)),
    Move(State.TRACKING, State.TRAINING),
    Move(State.TRAINING, State.VALIDATED),
    Move(State.VALIDATED, State.STAGING),
    Move(State.STAGING, State.PRODUCTION, (may_promote,)),
    Move(State.STAGING, State.VALIDATED, (may_roll_back,)),
    Move(State.PRODUCTION, State.VALIDATED, (may_roll_back,)),
    Move(State.PRODUCTION, State.DEPRECATED, (may_retire,)),
    Move(State.DEPRECATED, State.ARCHIVED),
)

# What a model without a champion shows: its most advanced version. A retired version is past its life, so it comes
# last: a model whose old version is archived and whose new one is tracked is tracking.
ADVANCE: tuple[State, ...] = (
    State.ARCHIVED,
    State.DEPRECATED,
    State.REGISTERED,
    State.TRACKING,
    State.TRAINING,
    State.VALIDATED,
    State.STAGING,
    State.PRODUCTION,
)


def allowed(state: State) -> tuple[State, ...]:
    """The states that a version in `state` may go to, in the order of the table."""
    return tuple(move.target for move in MOVES if move.origin is state)


def check(state: State, target: State, attempt: Attempt) -> None:
    """Raises `IllegalMove` naming the legal targets, or what the first failing guard says."""
    for move in MOVES:
        if move.origin is state and move.target is target:
            for guard in move.guards:
                guard(attempt)
            return
    legal = allowed(state)
    raise IllegalMove(
        f"version {attempt.version} can't go from {state} to {target}; "
        + (f"allowed: {', '.join(legal)}" if legal else f"{state} is final"),
        version=attempt.version,
        state=state,
        allowed_transitions=list(legal),
    )


def latest(versions: Mapping[str, State]) -> str:
    """The version that came last of those set up and not archived; with none such, of the unarchived, else of all.

    `versions` in order of registration.
    """
    live = [version for version, state in versions.items() if state is not State.ARCHIVED]
    set_up = [version for version in live if versions[version] is not State.REGISTERED]
    return (set_up or live or list(versions))[-1]


def leading(versions: Mapping[str, State], champion: str | None) -> str:
    """The version whose state the model shows: the champion, else the most advanced, the latest of equals."""
    if champion is not None:
        return champion
    order = {version: position for position, version in enumerate(versions)}
    return max(versions, key=lambda version: (ADVANCE.index(versions[version]), order[version]))


def champion_after(version: str, target: State, *, champion: str | None, in_production: Sequence[str]) -> str | None:
    """Who is champion once `version` has moved to `target`.

    Production makes a champion. A champion that leaves production hands over to the version that still is there and
    came last (`in_production`: the others, in the order of their promotion); with none left there is no champion.
    """
    if target is State.PRODUCTION:
        return version
    if champion == version and target in (State.VALIDATED, State.DEPRECATED, State.ARCHIVED):
        return in_production[-1] if in_production else None
    return champion

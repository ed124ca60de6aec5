"""The states of a version: the table of legal moves, whole; what a model shows; who is champion."""

import pytest

from app.auth.errors import Forbidden
from app.models import moves
from app.models.errors import IllegalMove, SetupMissing
from app.models.moves import Attempt, State

LEGAL = {
    State.REGISTERED: (State.TRACKING,),
    State.TRACKING: (State.TRAINING,),
    State.TRAINING: (State.VALIDATED,),
    State.VALIDATED: (State.STAGING,),
    State.STAGING: (State.PRODUCTION, State.VALIDATED),
    State.PRODUCTION: (State.VALIDATED, State.DEPRECATED),
    State.DEPRECATED: (State.ARCHIVED,),
    State.ARCHIVED: (),
}
ALL_SCOPES = frozenset({"models:write", "deployments:promote", "deployments:abort", "deployments:manage"})
ANYBODY = Attempt("1", ALL_SCOPES, set_up=True)


class TestMoves:
    @pytest.mark.parametrize("origin", State)
    @pytest.mark.parametrize("target", State)
    def test_are_those_of_the_life_cycle_and_its_rollbacks(self, origin: State, target: State) -> None:
        if target in LEGAL[origin]:
            moves.check(origin, target, ANYBODY)
            return
        with pytest.raises(IllegalMove) as refusal:
            moves.check(origin, target, ANYBODY)
        assert refusal.value.members["allowed_transitions"] == list(LEGAL[origin])
        assert all(state in refusal.value.detail for state in LEGAL[origin])

    def test_tracking_needs_a_setup(self) -> None:
        with pytest.raises(SetupMissing):
            moves.check(State.REGISTERED, State.TRACKING, Attempt("1", ALL_SCOPES, set_up=False))

    @pytest.mark.parametrize(
        ("origin", "target", "scope"),
        [
            (State.STAGING, State.PRODUCTION, "deployments:promote"),  # puts a version before users
            (State.PRODUCTION, State.VALIDATED, "deployments:abort"),  # takes it away from them
            (State.STAGING, State.VALIDATED, "deployments:abort"),
            (State.PRODUCTION, State.DEPRECATED, "deployments:manage"),  # for good, and no key may
        ],
    )
    def test_that_reach_users_need_their_scope(self, origin: State, target: State, scope: str) -> None:
        with pytest.raises(Forbidden) as refusal:
            moves.check(origin, target, Attempt("1", ALL_SCOPES - {scope}, set_up=True))
        assert refusal.value.members == {"scope": scope}


class TestWhatAModelShows:
    @pytest.mark.parametrize(
        ("versions", "champion", "shown"),
        [
            ({"1": State.TRACKING}, None, "1"),
            ({"1": State.STAGING, "2": State.TRACKING}, None, "1"),  # the most advanced
            ({"1": State.TRACKING, "2": State.TRACKING}, None, "2"),  # the latest of equals
            ({"1": State.PRODUCTION, "2": State.TRACKING}, "2", "2"),  # the champion, whatever it is
            ({"1": State.ARCHIVED, "2": State.REGISTERED}, None, "2"),  # a retired version is past its life
            ({"1": State.ARCHIVED, "2": State.DEPRECATED}, None, "2"),
        ],
    )
    def test_is_its_leading_version(self, versions: dict[str, State], champion: str | None, shown: str) -> None:
        assert moves.leading(versions, champion) == shown

    @pytest.mark.parametrize(
        ("versions", "latest"),
        [
            ({"2": State.TRACKING, "10": State.TRACKING, "1": State.TRACKING}, "1"),  # by registration, not by name
            ({"1": State.TRACKING, "2": State.REGISTERED}, "1"),  # a canary's version is not set up yet
            ({"1": State.REGISTERED, "2": State.REGISTERED, "3": State.ARCHIVED}, "2"),  # none is
            ({"1": State.TRACKING, "2": State.ARCHIVED}, "1"),  # an archived one takes nothing in
            ({"1": State.ARCHIVED, "2": State.ARCHIVED}, "2"),
        ],
    )
    def test_predictions_without_a_version_go_to_the_latest(self, versions: dict[str, State], latest: str) -> None:
        assert moves.latest(versions) == latest


class TestChampion:
    @pytest.mark.parametrize(
        ("version", "target", "champion", "others", "after"),
        [
            ("2", State.PRODUCTION, "1", ["1"], "2"),  # promotion makes a champion
            ("2", State.PRODUCTION, None, [], "2"),
            ("2", State.VALIDATED, "2", ["0", "1"], "1"),  # rolled back: the one that came last before it
            ("2", State.DEPRECATED, "2", [], None),
            ("1", State.DEPRECATED, "2", ["2"], "2"),  # it was not the champion any more
            ("2", State.STAGING, "2", ["1"], "2"),  # on its way up it stays what it is
        ],
    )
    def test_follows_the_moves(
        self, version: str, target: State, champion: str | None, others: list[str], after: str | None
    ) -> None:
        assert moves.champion_after(version, target, champion=champion, in_production=others) == after

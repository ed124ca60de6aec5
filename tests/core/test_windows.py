"""When a window of two counters lets an amount through, by arithmetic alone."""

import math
import random

import pytest
from limits import parse

from app.core.windows import CLOCK_S, Window, _left, free_after

HOUR = parse("100/hour")


def used(after_s: float, before: int, before_s: float, count: int, count_s: float, seconds: int) -> int:
    """What counts after so long: as `limits` has it, of one window or the next."""
    ends = count_s - seconds
    if after_s >= ends:
        before, count, before_s, after_s = count, 0, float(seconds), after_s - ends
    return math.floor(before * max(0.0, before_s - after_s) / seconds) + count


@pytest.mark.parametrize(
    ("state", "remaining", "reset_in"),
    [
        ([0, 0, 3, 7_200_000], 97, 3600),  # begun this millisecond
        ([0, 0, 3, 5_400_000], 97, 1800),
        ([10, 3_590_000, 3, 7_190_000], 88, 350),  # each 360 s one of those before counts no more
        ([0, 0, 0, 0], 100, 0),
    ],
)
def test_two_counters_tell_when_more_is_left(state: list[int], remaining: int, reset_in: float) -> None:
    left = _left(Window(HOUR, (), exact=False), state, 1000.0)
    assert (left.remaining, left.reset_at) == (remaining, 1000.0 + reset_in)


@pytest.mark.parametrize(
    ("cost", "state", "free_in"),
    [
        (90, (0, 0.0, 10, 5400.0), 0),  # it passes now
        (100, (0, 0.0, 10, 5400.0), 1800 + 3600 - 360),  # when less than one of the ten counts
        (1, (0, 0.0, 100, 5400.0), 1800),  # when the window ends: a moment later one of a hundred counts no more
        (50, (100, 1800.0, 20, 5400.0), 1800 - 3600 * 31 / 100),
        (100, (100, 1800.0, 0, 5400.0), 1800 - 36),
    ],
)
def test_they_tell_when_so_much_is_free(cost: int, state: tuple[int, float, int, float], free_in: float) -> None:
    assert free_after(cost, HOUR, *state) == pytest.approx(free_in, abs=0.01)


def test_then_it_passes_and_not_before() -> None:
    draw = random.Random(7)
    seconds, amount = HOUR.get_expiry(), HOUR.amount
    for _ in range(2000):
        ends = draw.uniform(0.01, seconds)
        before, count, cost = draw.randint(0, amount), draw.randint(0, amount), draw.randint(1, amount)
        state = before, ends if before else 0.0, count, ends + seconds
        wait = free_after(cost, HOUR, *state)
        assert used(wait, *state, seconds) + cost <= amount, (cost, state)
        if wait > 3 * CLOCK_S:
            assert used(wait - 2 * CLOCK_S, *state, seconds) + cost > amount, (cost, state)

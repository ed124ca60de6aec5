"""Which of many monitors may be named."""

from math import inf, log

import numpy as np
import pytest

from app.stats.bets import RANKED
from app.stats.screening import evidence, screen, screened
from app.stats.sequential import Bucket, Detector, Kind, Monitor, State, begin, update

FLOOR = screened(Detector(Kind.FLOOR, 3.0, floor=0.05))


def watched(rates: list[float], looks: int, seed: int, detector: Detector = FLOOR) -> dict[str, tuple[Monitor, State]]:
    random = np.random.default_rng(seed)
    found = {}
    for number, rate in enumerate(rates):
        monitor = Monitor(number, (detector,))
        state = begin(monitor, [Bucket(-i, 500, 0, random.binomial(500, 0.05) / 500) for i in range(60, 0, -1)])
        for look in range(looks):
            x = int(random.binomial(500, rate))
            state, _ = update(monitor, state, Bucket(look, 500, x, x / 500))
        found[str(number)] = monitor, state
    return found


class TestScreen:
    def test_names_the_bad_and_keeps_its_share_of_false_names(self) -> None:
        """40 good, 10 bad, 40 screens: the mean share of false names stays below .05."""
        shares, found = [], []
        for seed in range(40):
            named = screen(watched([0.05] * 40 + [0.08] * 10, 5, seed)).named
            shares.append(sum(int(name) < 40 for name in named) / max(len(named), 1))
            found.append(sum(int(name) >= 40 for name in named) / 10)
        assert np.mean(shares) <= 0.05
        assert np.mean(found) > 0.5

    def test_asks_less_of_each_than_a_page_of_its_own(self) -> None:
        found = screen(watched([0.08] * 10 + [0.05] * 10, 6, 1))
        assert len(found.named) >= 5
        assert found.needed == pytest.approx(log(20 / (0.05 * len(found.named))))
        assert found.needed < log(20 / 0.05)
        assert all(found.log_e[name] >= found.needed for name in found.named)
        assert found.p(found.named[0]) <= 0.05 * len(found.named) / 20

    def test_ranks_can_be_screened(self) -> None:
        detector = screened(Detector(Kind.RANK, 3.0, bets=RANKED))
        assert screen(watched([0.05, 0.12], 8, 0, detector)).named == ("1",)

    def test_detectors_that_start_anew_are_refused(self) -> None:
        monitor = Monitor(1, (Detector(Kind.FLOOR, 3.0, floor=0.05, for_ever=True),))
        with pytest.raises(ValueError, match="screened"):
            evidence(monitor, begin(monitor))

    def test_nothing_watched_and_nothing_seen(self) -> None:
        assert screen({}).named == ()
        assert screen({}).needed == inf
        fresh = screen({"a": (Monitor(1, (FLOOR,)), begin(Monitor(1, (FLOOR,))))})
        assert fresh.named == ()
        assert fresh.log_e["a"] == 0.0

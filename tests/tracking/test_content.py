"""Content: equal where rows say the same, and the same numbers for ever."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.tracking.batch import Coded, Numbers
from app.tracking.checked import CheckedPredictions
from app.tracking.decoding.values import coded, text
from app.tracking.storing.content import content

GOLDEN = [5917704129046424665, -7420354926187761731, -7224729668117074728]
GOLDEN_LEFT_OUT = [7997450277555672022, 5644133904629140999, 7351006176299441936]
GOLDEN_SCORES = [4416226265981102895, -8504439678089000786, -7224729668117074728]


def batch(**fields: Any) -> CheckedPredictions:
    """Three rows."""
    made = CheckedPredictions(
        ids=text(["a", "b", "x" * 70]),
        predicted_at=np.zeros(3, np.int64),
        version_no=np.array([1, 1, 2], np.int32),
        predicted=np.array([0, 1, 1], np.int32),
        sent_version=np.array([1, 1, 2], np.int32),
        sent_class=np.array([0, 1, 1], np.int32),
        score=np.array([0.25, 0.75, np.nan]),
        scores=None,
        features={"amount": Numbers(np.array([1.5, -0.0, 1e300])), "country": coded(["DE", None, "FR"])},
        segments={"channel": coded(["web", "app", None])},
        subject=None,
        known_at=None,
    )
    return replace(made, **fields)


def test_golden() -> None:
    """These are stored: a change would make conflicts of every repeated row."""
    assert content(batch()).tolist() == GOLDEN
    scores = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [np.nan] * 3])
    assert content(batch(scores=scores)).tolist() == GOLDEN_SCORES
    left_out = np.full(3, -1, np.int32)
    assert content(batch(sent_version=left_out, sent_class=left_out)).tolist() == GOLDEN_LEFT_OUT


@pytest.mark.parametrize(
    "same",
    [
        pytest.param({"predicted_at": np.arange(3)}, id="the timestamp"),
        pytest.param({"version_no": np.array([7, 8, 9], np.int32)}, id="the version that stood for one left out"),
        pytest.param({"predicted": np.array([1, 0, 0], np.int32)}, id="the class that followed from the scores"),
        pytest.param({"subject": text(["s", "", ""])}, id="the subject"),
        pytest.param(
            {"features": {"country": coded(["DE", None, "FR"]), "amount": Numbers(np.array([1.5, 0.0, 1e300]))}},
            id="the order of features and the sign of zero",
        ),
        pytest.param(
            {
                "features": {
                    "amount": Numbers(np.array([1.5, 0.0, 1e300]), np.ones(3, np.bool_)),
                    "country": Coded(np.array([2, -1, 0], np.int32), ("FR", "unused", "DE")),
                    "nothing": Numbers(np.full(3, np.nan), np.zeros(3, np.bool_)),
                    "none": Coded(np.full(3, -1, np.int32), ("unused",)),
                }
            },
            id="how a column is written down",
        ),
    ],
)
def test_does_not_hold(same: dict[str, Any]) -> None:
    assert content(batch(**same)).tolist() == content(batch()).tolist()


@pytest.mark.parametrize(
    "other",
    [
        {"sent_version": np.array([2, 2, 1], np.int32)},
        {"sent_version": np.full(3, -1, np.int32)},
        {"sent_class": np.array([1, 0, 0], np.int32)},
        {"sent_class": np.full(3, -1, np.int32)},
        {"score": np.array([0.5, np.nan, 0.0])},
        {"segments": {"channel": coded(["app", "web", "web"])}},
        {"segments": {"Channel": coded(["web", "app", "x"])}},
        {"features": {"amount": coded(["1.5", "0", "1e300"]), "country": coded(["FR", "DE", None])}},
        {"features": {"country": Numbers(np.array([1.5, 0.0, 1e300])), "amount": coded(["DE", "DE", "FR"])}},
        {"ids": text(["y" * 65, "y" * 66, "y" * 67])},
    ],
)
def test_holds(other: dict[str, Any]) -> None:
    assert (content(batch(**other)) != content(batch())).all()


def test_values_do_not_wander_between_columns() -> None:
    """Sums over columns must tell (1, 2) from (2, 1)."""
    one, two = Numbers(np.full(3, 1.0)), Numbers(np.full(3, 2.0))
    there, back = batch(features={"a": one, "b": two}), batch(features={"a": two, "b": one})
    assert (content(there) != content(back)).all()


def test_a_class_without_probability_says_nothing() -> None:
    narrow = np.array([[0.5, 0.5], [0.2, 0.8], [np.nan, np.nan]])
    wide = np.hstack([narrow, [[0.0], [0.0], [np.nan]]])
    assert content(batch(scores=narrow)).tolist() == content(batch(scores=wide)).tolist()


def test_hardly_ever_collides() -> None:
    n = 200_000
    grid = CheckedPredictions(
        ids=text(["a"] * n),
        predicted_at=np.zeros(n, np.int64),
        version_no=np.ones(n, np.int32),
        predicted=np.arange(n, dtype=np.int32) % 2,
        sent_version=np.ones(n, np.int32),
        sent_class=np.arange(n, dtype=np.int32) % 2,
        score=(np.arange(n) % 1000) / 1000,
        scores=None,
        features={"x": Numbers((np.arange(n) // 1000).astype(np.float64)), "y": Numbers(np.arange(n) / 1024)},
        segments={},
        subject=None,
        known_at=None,
    )
    assert len(np.unique(content(grid))) == n
    low = content(grid).view(np.uint64) & np.uint64(0xFFFF)
    assert np.bincount(low.astype(np.int64), minlength=65_536).max() < 20, "every bit is well mixed"

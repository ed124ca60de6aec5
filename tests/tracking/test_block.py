"""Blocks: what went in comes out; what is blanked is gone, in its place."""

from typing import Any

import numpy as np
import pytest

from app.tracking.batch import Coded, Numbers
from app.tracking.block import Block, blanked, pack, unpack
from app.tracking.decoding.values import coded, text


def block(n: int = 3, **fields: Any) -> Block:
    given: dict[str, Any] = {
        "ids": text([f"id-{'x' * (row % 9)}" for row in range(n)]),
        "predicted_at": np.arange(n) * 10**15,
        "context_id": np.arange(n, dtype=np.int32),
        "predicted": np.arange(n, dtype=np.int32) % 2,
        "score": np.where(np.arange(n) % 2, np.nan, 0.5),
        "scores": None,
        "features": {
            "amount": Numbers(np.arange(n) / 3),
            "age": Numbers(np.where(np.arange(n) == 1, np.nan, 7.0), np.arange(n) != 1),
            "country": coded([("DE", None, "FR")[row % 3] for row in range(n)]),
        },
        "segments": {"channel": coded([("web", "app")[row % 2] for row in range(n)])},
    }
    return Block(**given | fields)


def assert_equal(left: Block, right: Block) -> None:
    assert left.ids.tolist() == right.ids.tolist()
    for name in ("predicted_at", "context_id", "predicted", "score", "scores", "known_at", "blank"):
        ours, theirs = getattr(left, name), getattr(right, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or np.array_equal(ours, theirs, equal_nan=True), name
    for ours, theirs in ((left.features, right.features), (left.segments, right.segments)):
        assert [*ours] == [*theirs]
        for name, column in ours.items():
            assert_same(column, theirs[name])


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, Coded):
        assert left.values == right.values
        assert left.codes.tolist() == right.codes.tolist()
    else:
        assert np.array_equal(left.values, right.values, equal_nan=True)
        assert (left.valid is None) == (right.valid is None)
        assert left.valid is None or left.valid.tolist() == right.valid.tolist()


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(block(), id="plain"),
        pytest.param(block(1), id="one row"),
        pytest.param(block(1000), id="many rows"),
        pytest.param(block(known_at=np.arange(3)), id="an import"),
        pytest.param(block(scores=np.arange(12.0).reshape(3, 4)), id="multiclass"),
        pytest.param(block(features={}, segments={}), id="scores alone"),
        pytest.param(
            block(300, features={"id": coded([str(row) for row in range(300)])}),
            id="more values than a byte tells apart",
        ),
        pytest.param(
            block(40_000, features={"id": coded([str(row) for row in range(40_000)])}),
            id="more values than two bytes tell apart",
        ),
        pytest.param(block(ids=text(["ä", "日本", "🜁"])), id="ids of all lengths"),
    ],
)
def test_comes_back_as_it_was(made: Block) -> None:
    assert_equal(unpack(pack(made)), made)


def test_a_thousand_rows_take_about_what_their_numbers_take() -> None:
    features = {f"f{number}": Numbers(np.random.default_rng(number).random(1000)) for number in range(10)}
    size = len(pack(block(1000, ids=text([f"p{row:010d}" for row in range(1000)]), features=features)))
    assert size < 1000 * (80 + 11 + 2 + 8 + 4 + 2 + 8 + 1) + 1000


class TestBlanking:
    def test_leaves_no_value_of_the_row_behind(self) -> None:
        made = block(4, features={"name": coded(["Ann", "Bob", "Ann", "Cy"]), "pay": Numbers(np.arange(4.0) + 1234)})
        body = pack(blanked(made, np.array([1, 3])))
        found = unpack(body)
        assert b"Bob" not in body
        assert b"Cy" not in body
        assert np.float64(1235).tobytes() not in body
        assert found.ids.tolist() == ["id-", "", "id-xx", ""]
        assert found.blank is not None
        assert found.blank.tolist() == [False, True, False, True]
        assert found.features["name"].codes.tolist() == [0, -1, 0, -1]

    def test_again_adds_to_what_is_blank(self) -> None:
        found = blanked(blanked(block(4), np.array([0])), np.array([2]))
        assert found.blank is not None
        assert found.blank.tolist() == [True, False, True, False]
        assert_equal(unpack(pack(found)), found)

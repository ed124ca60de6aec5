"""Counting rows into integers: every order, split and merge gives the same bits, and they can be taken back."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from app.stats import codes, planes
from app.stats.counting import ABS, ERROR, ERROR_2, Y_2, Y
from app.stats.fixedpoint import UNIT, limbs, log
from app.stats.tally import (
    Shape,
    Sparse,
    Tally,
    Task,
    core_only,
    count_labels,
    count_predictions,
    hist_only,
    is_hist,
    merge,
    negate,
    outside,
    regroup,
)
from tests.stats.rows import BINARY, binary, multiclass, regression, take, tally

KINDS = {"binary": binary, "multiclass": multiclass, "regression": regression}
CELLS = 7


def in_order(sparse: Sparse) -> bool:
    key = sparse.cell.astype(np.uint64) << np.uint64(32) | sparse.code
    return bool((np.diff(key.astype(object)) > 0).all()) and bool((sparse.amount != 0).all())


class TestMerging:
    @pytest.mark.parametrize("kind", KINDS)
    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 40))
    def test_any_split_and_order_gives_the_same_bits(self, kind: str, seed: int, parts: int) -> None:
        shape, rows = KINDS[kind](300, seed)
        random = np.random.default_rng(seed)
        cell = random.integers(0, CELLS, 300)
        whole = count_labels(shape, cell, CELLS, **rows)
        pieces = [
            count_labels(shape, cell[chosen], CELLS, **take(rows, chosen))
            for chosen in np.array_split(random.permutation(300), parts)
        ]
        assert in_order(whole)
        assert merge(pieces) == whole
        assert merge([merge(pieces[: parts // 2]), merge(pieces[parts // 2 :])]) == whole
        assert len(merge([whole, negate(merge(pieces))])) == 0

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("cells", [1, 3, 50, 400, 5000])
    def test_the_dense_and_the_sorted_road_agree(self, kind: str, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
        shape, rows = KINDS[kind](400)
        cell = np.random.default_rng(1).integers(0, cells, 400)
        usual = count_labels(shape, cell, cells, **rows)
        monkeypatch.setattr(planes, "_dense", lambda cells, found, _: planes._sorted(cells, found))
        assert count_labels(shape, cell, cells, **rows) == usual

    def test_a_batch_beyond_one_chunk_is_counted_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shape, rows = binary(1000)
        cell = np.zeros(1000, np.intp)
        whole = count_labels(shape, cell, 1, **rows)
        monkeypatch.setattr("app.stats.counting.CHUNK", 64)
        assert count_labels(shape, cell, 1, **rows) == whole

    def test_a_correction_takes_the_old_label_back(self) -> None:
        shape, rows = binary(50)
        cell = np.zeros(50, np.intp)
        corrected = rows | {"actual": np.where(np.arange(50) == 3, 1 - rows["actual"], rows["actual"])}
        one = [3]
        delta = merge(
            [
                negate(count_labels(shape, cell[one], 1, **take(rows, one))),
                count_labels(shape, cell[one], 1, **take(corrected, one)),
            ]
        )
        assert merge([count_labels(shape, cell, 1, **rows), delta]) == count_labels(shape, cell, 1, **corrected)

    def test_regrouping_sums_cells_and_drops_negative_targets(self) -> None:
        shape, rows = multiclass(200)
        cell = np.arange(200) % 4
        counted = count_labels(shape, cell, 4, **rows)
        target = np.array([1, 0, 1, -1])
        kept = cell != 3
        expected = count_labels(shape, target[cell[kept]], 2, **take(rows, kept))
        assert regroup(counted, target) == expected

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("rows", [0, 1, 3000])
    def test_the_sum_of_all_cells_is_that_of_all_rows(self, kind: str, rows: int) -> None:
        shape, given = KINDS[kind](3000)
        given = take(given, slice(rows))
        cell = np.random.default_rng(2).integers(0, 50, rows)
        series = Tally.of(shape, 50, count_labels(shape, cell, 50, **given))
        assert series.total().sparse == count_labels(shape, np.zeros(rows, np.intp), 1, **given)
        taken_back = merge([series.sparse, negate(series.sparse)])
        assert len(Tally.of(shape, 50, taken_back).total().sparse) == 0

    def test_core_and_histograms_split_and_join(self) -> None:
        shape, rows = binary(100)
        counted = count_labels(shape, np.zeros(100, np.intp), 1, **rows)
        assert not is_hist(core_only(counted).code).any()
        assert is_hist(hist_only(counted).code).all()
        assert merge([hist_only(counted), core_only(counted)]) == counted

    def test_no_rows_count_nothing(self) -> None:
        for kind, make in KINDS.items():
            shape, rows = make(100)
            for cells in (1, 5):
                none = count_labels(shape, np.empty(0, np.intp), cells, **take(rows, slice(0)))
                assert len(none) == 0, kind


class TestClasses:
    @settings(max_examples=50, deadline=None)
    @given(st.integers(1, 40))
    def test_pairs_fill_the_square_and_keep_their_number_as_classes_grow(self, classes: int) -> None:
        actual, predicted = np.divmod(np.arange(classes**2), classes)
        numbers = codes.pair(actual, predicted)
        assert sorted(numbers.tolist()) == list(range(classes**2))
        assert (codes.pair_order(classes)[numbers] == np.arange(classes**2)).all()

    def test_counts_made_before_a_class_was_added_stay_valid(self) -> None:
        before = Shape(Task.MULTICLASS, 3)
        after = Shape(Task.MULTICLASS, 4)
        random = np.random.default_rng(0)
        actual, predicted = random.integers(0, 3, 50), random.integers(0, 3, 50)
        cell, delay = np.zeros(50, np.intp), np.zeros(50, np.int64)
        none = np.full(50, np.nan)
        old = count_labels(before, cell, 1, actual=actual * 1.0, predicted=predicted, score=none, delay_us=delay)
        new = count_labels(after, cell, 1, actual=actual + 1.0, predicted=predicted, score=none, delay_us=delay)
        both = Tally.of(after, 1, merge([old, new])).confusion[0]
        expected = confusion_matrix(np.r_[actual, actual + 1], np.r_[predicted, predicted], labels=range(4))
        assert (both == expected).all()

    def test_scores_from_before_a_class_was_added_give_it_no_probability(self) -> None:
        rows = {"predicted": np.array([0]), "score": np.array([np.nan]), "delay_us": np.array([0])}
        counted = count_labels(
            Shape(Task.MULTICLASS, 3),
            np.zeros(1, np.intp),
            1,
            actual=np.array([2.0]),
            scores=np.array([[0.75, 0.25]]),
            **rows,
        )
        assert Tally.of(Shape(Task.MULTICLASS, 3), 1, counted).scored.tolist() == [1]

    def test_a_shape_older_than_the_counts_still_reads_them(self) -> None:
        shape, rows = multiclass(100)
        counted = count_labels(shape, np.zeros(100, np.intp), 1, **rows)
        assert Tally.of(Shape(Task.MULTICLASS, 2), 1, counted).confusion.shape == (1, 5, 5)


class TestReading:
    def test_points_without_entries_are_empty(self) -> None:
        shape, rows = binary(30)
        read = Tally.of(shape, 4, count_labels(shape, np.full(30, 2, np.intp), 3, **rows))
        assert read.labelled.tolist() == [0, 0, 30, 0]
        assert read.total().labelled.tolist() == [30]

    def test_refuses_a_cell_that_is_no_point(self) -> None:
        shape, rows = binary(3)
        with pytest.raises(ValueError, match="cell 2 is not one of 2 points"):
            Tally.of(shape, 2, count_labels(shape, np.full(3, 2, np.intp), 3, **rows))

    def test_rows_without_scores_shrink_scored_only(self) -> None:
        shape, rows = binary(500, missing=0.3)
        read = tally(shape, rows)
        assert read.labelled[0] == 500
        assert read.scored[0] == np.isfinite(rows["score"]).sum()

    def test_predictions_are_counted_by_class_and_score(self) -> None:
        _, rows = binary(500, missing=0.2)
        cell = np.zeros(500, np.intp)
        counted = count_predictions(BINARY, cell, 1, predicted=rows["predicted"], score=rows["score"])
        read = Tally.of(BINARY, 1, counted)
        assert read.n.tolist() == [500]
        assert read.predicted[0].tolist() == np.bincount(rows["predicted"]).tolist()
        present = rows["score"][np.isfinite(rows["score"])]
        assert read.scores[0].tolist() == np.bincount(codes.score_bin(present), minlength=1024).tolist()

    def test_predictions_of_a_regression_are_counted(self) -> None:
        counted = count_predictions(
            Shape(Task.REGRESSION, 0), np.zeros(3, np.intp), 1, predicted=np.zeros(3, int), score=np.zeros(3)
        )
        assert counted.amount.tolist() == [3]


class TestBins:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
    def test_score_bins_rise_with_the_score_and_hold_it(self, scores: list[float]) -> None:
        ordered = np.sort(np.array(scores))
        bins = codes.score_bin(ordered)
        assert (np.diff(bins) >= 0).all()
        assert ((bins >= 0) & (bins < 1024)).all()
        slack = 1e-15  # p * 896 may round up to the next edge
        assert (codes.SCORE_EDGES[bins] <= ordered + slack).all()
        assert (codes.SCORE_EDGES[bins + 1] >= ordered - slack).all()

    def test_edges_rise(self) -> None:
        assert codes.SCORE_EDGES.size == 1025
        assert (np.diff(codes.SCORE_EDGES) > 0).all()
        assert (np.bincount(codes.CALIBRATION_OF_SCORE) == [78, *[14] * 62, 78]).all()

    @settings(max_examples=200, deadline=None)
    @given(st.integers(-(2**62), 2**62))
    def test_delay_bins_hold_the_delay(self, delay_us: int) -> None:
        index = int(codes.delay_bin(np.array([delay_us]))[0])
        seconds = max(delay_us, 0) / 1e6
        assert codes.DELAY_EDGES_S[index] <= seconds * (1 + 1e-12)
        assert seconds < codes.DELAY_EDGES_S[index + 1] * (1 + 1e-12)


class TestFixedPoint:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.floats(-1e60, 1e60), min_size=1, max_size=20))
    def test_limbs_add_up_exactly(self, values: list[float]) -> None:
        whole = np.rint(np.array(values))
        totals = [0] * len(values)
        for limb, part in limbs(whole):
            assert (np.abs(part) < 2**32).all() or limb == 7
            totals = [total + int(piece) * 2 ** (32 * limb) for total, piece in zip(totals, part, strict=True)]
        assert totals == [int(value) for value in whole]

    @settings(max_examples=200, deadline=None)
    @given(st.floats(1e-300, 1e300))
    def test_the_portable_logarithm_is_right_to_an_ulp(self, x: float) -> None:
        expected = np.log(x)
        assert abs(log(np.array([x]))[0] - expected) <= 2 * np.spacing(abs(expected)) + 1e-300

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ([12.5, 1e6, 1e-3], "each row has the unit that its own size asks for"),
            ([1e-9, 12.5], "a first value that is next to nothing"),
            ([1e30, -1e30, 1.5], "the largest that are let in leave the small ones whole"),
            ([0.0] * 99 + [1e9], "zero-inflated, one outlier"),
            (list(1e9 + np.linspace(-1, 1, 50)), "mean far above the spread"),
            (list(np.geomspace(1e-12, 1e12, 200)), "many sizes"),
        ],
    )
    def test_sums_of_a_regression_are_those_of_its_rows(self, values: list[float], why: str) -> None:
        actual = np.array(values)
        predicted = actual * 1.25 + 1e-3
        rows = {"actual": actual, "score": predicted, "predicted": np.zeros(actual.size, int)}
        read = tally(Shape(Task.REGRESSION, 0), rows | {"delay_us": np.zeros(actual.size, np.int64)})
        exact = [Fraction(p) - Fraction(a) for p, a in zip(predicted.tolist(), values, strict=True)]
        for name, expected, power in (
            (ERROR, sum(exact), 1),
            (ABS, sum(map(abs, exact)), 1),
            (ERROR_2, sum(error * error for error in exact), 2),
            (Y, sum(map(Fraction, values)), 1),
            (Y_2, sum(Fraction(value) ** 2 for value in values), 2),
        ):
            found = float(read.sum(name).value()[0]) * 2.0 ** (-UNIT * power)
            assert found == pytest.approx(float(expected), rel=1e-12, abs=1e-20), why
            assert float(Fraction(read.exact(name)[0], 2 ** (UNIT * power))) == pytest.approx(found, rel=1e-14), why

    def test_numbers_beyond_every_honest_one_are_outside(self) -> None:
        assert outside(np.array([1.1e30, -1e300, np.nan, np.inf, -np.inf])).all()
        assert not outside(np.array([1e30, -1e30, 0.0, 1e-300])).any()

"""Ledgers: what a transaction adds, packed, merged; any order gives the same bits."""

import numpy as np
import pytest

from app.stats.sparse import Sparse, consolidate, keys
from app.tracking.ledger import CELL, Ledger, merge, pack, unpack


def random_ledger(random: np.random.Generator, *, rows: int = 500, span: int = 40, contexts: int = 5) -> Ledger:
    context = random.integers(1, contexts + 1, rows)
    cohort = 29_000_000 + random.integers(0, span, rows)
    cells, cell = Ledger.of(context, cohort, np.full(rows, 29_000_100))
    code = random.integers(0, 19, rows) << 24 | random.integers(0, 3000, rows)
    amount = random.choice([1, -1, 127, -128, -129, 128, 2**40, -(2**62)], rows)
    return Ledger(cells, consolidate(keys(cell.astype(np.uint32), code.astype(np.uint32)), amount))


def as_dict(ledger: Ledger) -> dict[tuple[int, int, int, int], int]:
    cells = ledger.cells.tolist()
    entries = zip(
        *(column.tolist() for column in (ledger.sparse.cell, ledger.sparse.code, ledger.sparse.amount)), strict=True
    )
    return {(*cells[cell], code): amount for cell, code, amount in entries}


class TestFindingTheCells:
    @pytest.mark.parametrize(
        ("context", "cohort", "known"),
        [
            ([7], [5], [6]),  # one row
            ([3, 1, 3, 1], [9, 9, 9, 8], [1, 1, 1, 1]),  # repeated and out of order
            ([1, 1, 2], [0, 30_000_000, 0], [5, 5, 5]),  # too wide for a table
            ([1, 2**31 - 1, 1], [-(2**31), 2**31 - 1, -(2**31)], [-(2**31), 2**31 - 1, -(2**31)]),  # for one key
        ],
    )
    def test_each_row_points_at_its_own_cell(self, context: list[int], cohort: list[int], known: list[int]) -> None:
        cells, cell = Ledger.of(np.array(context), np.array(cohort), np.array(known))
        assert cells[cell].tolist() == list(zip(context, cohort, known, strict=True))
        assert cells.tolist() == sorted(set(cells.tolist()))

    def test_no_rows_have_no_cells(self) -> None:
        cells, cell = Ledger.of(*np.empty((3, 0), np.int64))
        assert (len(cells), len(cell)) == (0, 0)


class TestPacking:
    def test_gives_back_what_was_put_in(self) -> None:
        random = np.random.default_rng(1)
        for span in (1, 200, 40_000):
            ledger = random_ledger(random, span=span, contexts=span)
            again = unpack(pack(ledger))
            assert np.array_equal(again.cells, ledger.cells)
            assert again.sparse == ledger.sparse

    def test_holds_nothing_too(self) -> None:
        assert len(unpack(pack(Ledger.empty()))) == 0

    def test_refuses_a_format_of_the_future(self) -> None:
        with pytest.raises(ValueError, match="format 9"):
            unpack(b"\x09" + pack(Ledger.empty())[1:])


class TestMerging:
    def test_adds_what_stands_in_the_same_cell(self) -> None:
        random = np.random.default_rng(2)
        ledgers = [random_ledger(random) for _ in range(6)]
        expected: dict[tuple[int, int, int, int], int] = {}
        for ledger in ledgers:
            for key, amount in as_dict(ledger).items():
                expected[key] = expected.get(key, 0) + amount
        expected = {key: amount for key, amount in expected.items() if amount}
        assert as_dict(merge(ledgers)) == expected
        assert as_dict(merge([merge(ledgers[3:]), merge(ledgers[:3])])) == expected

    def test_of_nothing_is_nothing(self) -> None:
        assert len(merge([Ledger.empty(), Ledger.empty()])) == 0

    def test_cancels(self) -> None:
        one = Ledger(np.zeros(1, CELL), Sparse(*(np.array([v], t) for v, t in ((0, "u4"), (5, "u4"), (3, "i8")))))
        minus = Ledger(one.cells, Sparse(one.sparse.cell, one.sparse.code, -one.sparse.amount))
        assert len(merge([one, minus]).sparse) == 0

"""Vectors as bytes of rollup rows: what is put in comes out, however large or negative."""

import numpy as np
import pytest

from app.stats.sparse import Sparse, consolidate, core_only, hist_only, keys
from app.tracking.rollups.packing import pack_hists, pack_records, unpack_hists, unpack_records, unpack_rows

EMPTY_CELL = 3


def vectors(amounts: list[int], entries: int) -> Sparse:
    """Five cells, the one numbered `EMPTY_CELL` without entries; core and hist codes."""
    random = np.random.default_rng(len(amounts))
    cell = random.choice([0, 1, 2, 4], entries).astype(np.uint32)
    code = random.choice([0, 1, 3, 5, 16, 17], entries) << 24 | random.integers(0, 1 << 24, entries)
    return consolidate(keys(cell, code.astype(np.uint32)), random.choice(np.array(amounts, np.int64), entries))


@pytest.mark.parametrize("entries", [8, 5000], ids=["records", "compressed"])
@pytest.mark.parametrize(
    "amounts",
    [
        pytest.param([1, 2, 127], id="one byte"),
        pytest.param([-128, 5, 300], id="two bytes"),
        pytest.param([-40_000, 2**31 - 1], id="four bytes"),
        pytest.param([-(2**63) + 10**6, 2**62, 1], id="eight bytes"),
    ],
)
def test_gives_back_what_was_put_in(amounts: list[int], entries: int) -> None:
    sparse = vectors(amounts, entries)
    cores, hists = pack_records(core_only(sparse), 5), pack_hists(hist_only(sparse), 5)
    assert (cores[EMPTY_CELL], hists[EMPTY_CELL]) == (b"", None)
    assert unpack_records(b"".join(cores), np.array([len(core) for core in cores])) == core_only(sparse)
    assert unpack_hists(hists) == hist_only(sparse)
    assert unpack_rows(cores, hists) == sparse


def test_takes_about_three_bytes_an_entry_where_counts_are_small() -> None:
    codes = np.arange(3000, dtype=np.uint32) + (17 << 24)
    counts = np.random.default_rng(1).poisson(6, 3000) + 1
    [body] = pack_hists(Sparse(np.zeros(3000, np.uint32), codes, counts.astype(np.int64)), 1)
    assert body is not None
    assert len(body) < 3 * 3000

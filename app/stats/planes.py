"""Planes → sparse integers.

A plane is one thing counted of some rows: where in a family each row counts, and how much. Planes are counted in one
dense `bincount` where cells × codes is small, by sorting where it is not; both give the same Sparse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import FAMILY_SHIFT, Family
from app.stats.sparse import Sparse, consolidate, keys, run_starts

Cells = NDArray[np.intp]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK = 1 << 20  # rows counted at once: float64 sums of numbers up to 2^32 stay exact up to 2^21 rows
_DENSE = 16384  # grid positions that cost less than a sort, whatever the rows


@dataclass(frozen=True, slots=True)
class Marks:
    """Each row counts one at its own index, or its whole-numbered `weight` of at most 2^32."""

    family: Family
    width: int
    cell: Cells
    index: Ints
    weight: Floats | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Every row counts at the same indexes: one (weight None), or `weight[i, row]` at `index[i]`.

    No other plane may count there.
    """

    family: Family
    width: int
    cell: Cells
    index: Ints
    weight: Floats | None = None


def total(family: Family, cell: Cells) -> Totals:
    """The number of rows.

    >>> total(Family.N, np.zeros(3, np.intp)).width
    1
    """
    return Totals(family, 1, cell, _ZERO)


_ZERO = np.zeros(1, np.int64)
Plane = Marks | Totals


def count(cells: int, planes: Sequence[Plane]) -> Sparse:
    """The sum of planes over cells 0 … cells−1. Planes of one family have one width; at most CHUNK rows.

    >>> count(2, [total(Family.N, np.array([0, 1, 1]))]).amount.tolist()
    [1, 2]
    """
    if cells > 2 * max(plane.cell.size for plane in planes) + 1:
        return _compacted(planes)
    widths = tuple(sorted({plane.family: plane.width for plane in planes}.items()))
    entries = sum(plane.cell.size for plane in planes if isinstance(plane, Marks))
    if cells * sum(width for _, width in widths) <= max(_DENSE, 4 * entries):
        return _dense(cells, planes, widths)
    return _sorted(cells, planes)


def _compacted(planes: Sequence[Plane]) -> Sparse:
    """Fewer rows than cells: count over the cells that occur."""
    present = np.unique(np.concatenate([plane.cell for plane in planes]))
    if present.size == 0:
        return Sparse.empty()
    renumbered = [
        type(p)(p.family, p.width, np.searchsorted(present, p.cell), p.index, p.weight)  # keeps the order
        for p in planes
    ]
    counted = count(present.size, renumbered)
    return Sparse(present.astype(np.uint32)[counted.cell], counted.code, counted.amount)


@lru_cache(maxsize=64)
def _layout(widths: tuple[tuple[Family, int], ...]) -> tuple[dict[Family, int], NDArray[np.uint32]]:
    """Where each family starts in a grid row, and the code of each grid column (ascending)."""
    starts = np.cumsum([0, *(width for _, width in widths)]).tolist()
    columns = [np.arange(width, dtype=np.uint32) + np.uint32(family << FAMILY_SHIFT) for family, width in widths]
    return dict(zip((family for family, _ in widths), starts, strict=False)), np.concatenate(columns)


def _dense(cells: int, planes: Sequence[Plane], widths: tuple[tuple[Family, int], ...]) -> Sparse:
    starts, codes = _layout(widths)
    columns = codes.size
    counted = [_flat(p, cells, columns, starts[p.family]) for p in planes if isinstance(p, Marks) and p.weight is None]
    flat = np.concatenate(counted) if counted else _ZERO[:0]
    grid = np.bincount(flat, minlength=cells * columns).reshape(cells, columns)
    for plane in planes:
        start = starts[plane.family]
        if isinstance(plane, Totals):
            grid[:, plane.index + start] = _per_cell(plane, cells).T
        elif plane.weight is not None:
            sums = np.bincount(_flat(plane, cells, plane.width, 0), plane.weight, cells * plane.width)
            grid[:, start : start + plane.width] += sums.astype(np.int64).reshape(cells, plane.width)
    filled = grid.ravel().nonzero()[0]
    amount = grid.ravel()[filled]
    if cells == 1:
        return Sparse(np.zeros(filled.size, np.uint32), codes[filled], amount)
    cell, column = np.divmod(filled, columns)
    return Sparse(cell.astype(np.uint32), codes[column], amount)


def _sorted(cells: int, planes: Sequence[Plane]) -> Sparse:
    counted = [_keys(p) for p in planes if isinstance(p, Marks) and p.weight is None]
    found: list[tuple[NDArray[np.uint64], Ints]] = []
    if counted:
        every = np.concatenate(counted)
        every.sort()
        starts = run_starts(every)
        found.append((every[starts], np.diff(starts, append=every.size)))
    for plane in planes:
        if isinstance(plane, Totals):
            found.extend(_of_totals(plane, cells))
        elif plane.weight is not None:
            unique, inverse = np.unique(_keys(plane), return_inverse=True)
            found.append((unique, np.bincount(inverse, plane.weight, unique.size).astype(np.int64)))
    return consolidate(np.concatenate([key for key, _ in found]), np.concatenate([amount for _, amount in found]))


def _of_totals(plane: Totals, cells: int) -> list[tuple[NDArray[np.uint64], Ints]]:
    every = keys(np.arange(cells), np.zeros(1, np.int64))
    return [
        (every + np.uint64(plane.family << FAMILY_SHIFT | int(index)), sums)
        for index, sums in zip(plane.index, _per_cell(plane, cells), strict=True)
    ]


def _flat(plane: Marks, cells: int, columns: int, start: int) -> Ints:
    index = plane.index + start if start else plane.index
    return index if cells == 1 else plane.cell * columns + index


def _keys(plane: Marks) -> NDArray[np.uint64]:
    return keys(plane.cell, plane.index + np.int64(plane.family << FAMILY_SHIFT))


def _per_cell(plane: Totals, cells: int) -> Ints:
    """[indexes, cells]"""
    if plane.weight is None:
        rows = np.bincount(plane.cell, minlength=cells) if cells > 1 else np.array([plane.cell.size])
        return rows[np.newaxis]
    if cells == 1:
        return np.asarray(plane.weight.sum(axis=1, keepdims=True), np.int64)
    return np.stack([np.bincount(plane.cell, row, cells) for row in plane.weight]).astype(np.int64)

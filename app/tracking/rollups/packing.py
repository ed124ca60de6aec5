"""Sparse vectors as the bytes of a rollup row, many rows at once.

`core` vectors are records (code uint32, amount int64, little-endian), so that the concatenated bytes of any number of
rows are one numpy array. `hist` vectors start with one byte: 0, then records; or the width of an amount (1, 2, 4, 8),
then a zlib stream of code differences and amounts, byte plane by byte plane (equal bytes side by side compress best).
"""

import itertools
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.sparse import Sparse

ENTRY = np.dtype([("code", "<u4"), ("amount", "<i8")])
PLAIN_LIMIT = (
    2048  # bytes of records from which on compressing pays (and PostgreSQL would move the value out of the row)
)
_NOTHING = (np.empty(0, np.uint32), np.empty(0, np.int64))
_LEVEL = 1  # the planes are almost constant: higher levels win 5 % at three times the time


def pack_records(sparse: Sparse, cells: int) -> list[bytes]:
    """One body per cell; b"" for a cell without entries."""
    body = _records(sparse).tobytes()
    edges = (_edges(sparse, cells) * ENTRY.itemsize).tolist()
    return [body[edges[cell] : edges[cell + 1]] for cell in range(cells)]


def unpack_records(body: bytes, sizes: NDArray[np.integer[Any]]) -> Sparse:
    """Bodies of `len(sizes)` cells, joined; `sizes` in bytes."""
    entries = np.frombuffer(body, ENTRY)
    cell = np.repeat(np.arange(len(sizes), dtype=np.uint32), np.asarray(sizes, np.int64) // ENTRY.itemsize)
    return Sparse(cell, entries["code"].astype(np.uint32), entries["amount"].astype(np.int64))


def unpack_rows(cores: Sequence[bytes], hists: Sequence[bytes | None]) -> Sparse:
    """Whole vectors of some cells. A core's codes are below a hist's, so all that is needed is to lay them in turn."""
    core = unpack_records(b"".join(cores), np.array([len(body) for body in cores], np.int64))
    return interleave(core, hists)


def interleave(core: Sparse, hists: Sequence[bytes | None]) -> Sparse:
    """Cores of some cells with the hists of the same ones."""
    if not any(hists):
        return core
    edges = _edges(core, len(hists)).tolist()
    codes, amounts, sizes = [], [], []
    for body, (low, high) in zip(hists, itertools.pairwise(edges), strict=True):
        code, amount = _unpack_hist(body) if body else _NOTHING
        codes += [core.code[low:high], code]
        amounts += [core.amount[low:high], amount]
        sizes.append(high - low + len(code))
    cell = np.repeat(np.arange(len(hists), dtype=np.uint32), sizes)
    return Sparse(cell, np.concatenate(codes), np.concatenate(amounts))


def pack_hists(sparse: Sparse, cells: int) -> list[bytes | None]:
    """One body per cell; None for a cell without entries."""
    edges = _edges(sparse, cells).tolist()
    return [
        _pack_hist(sparse.code[low:high], sparse.amount[low:high]) if high > low else None
        for low, high in itertools.pairwise(edges)
    ]


def unpack_hists(bodies: list[bytes | None]) -> Sparse:
    """The inverse; cell i is `bodies[i]`."""
    found = [(cell, *_unpack_hist(body)) for cell, body in enumerate(bodies) if body]
    if not found:
        return Sparse.empty()
    sizes = [len(code) for _, code, _ in found]
    cell = np.repeat(np.array([cell for cell, _, _ in found], np.uint32), sizes)
    return Sparse(cell, np.concatenate([code for _, code, _ in found]), np.concatenate([a for _, _, a in found]))


def _pack_hist(code: NDArray[np.uint32], amount: NDArray[np.int64]) -> bytes:
    if len(code) * ENTRY.itemsize <= PLAIN_LIMIT:
        entries = np.empty(len(code), ENTRY)
        entries["code"], entries["amount"] = code, amount
        return b"\0" + entries.tobytes()
    width = _width(amount)
    steps = np.diff(code, prepend=np.uint32(0))
    planes = _planes(steps.astype("<u4"), 4) + _planes(amount.astype(f"<i{width}"), width)
    return bytes([width]) + zlib.compress(planes, _LEVEL)


def _unpack_hist(body: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    width = body[0]
    if width == 0:
        entries = np.frombuffer(body, ENTRY, offset=1)
        return entries["code"].astype(np.uint32), entries["amount"].astype(np.int64)
    planes = np.frombuffer(zlib.decompress(memoryview(body)[1:]), np.uint8).reshape(4 + width, -1)
    steps = np.ascontiguousarray(planes[:4].T).view("<u4").ravel()
    amount = np.ascontiguousarray(planes[4:].T).view(f"<i{width}").ravel()
    return np.cumsum(steps, dtype=np.uint32), amount.astype(np.int64)


def _records(sparse: Sparse) -> NDArray[Any]:
    entries = np.empty(len(sparse), ENTRY)
    entries["code"], entries["amount"] = sparse.code, sparse.amount
    return entries


def _edges(sparse: Sparse, cells: int) -> NDArray[np.int64]:
    return np.searchsorted(sparse.cell, np.arange(cells + 1)).astype(np.int64)


def _planes(values: NDArray[Any], width: int) -> bytes:
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T).tobytes()


def _width(amount: NDArray[np.int64]) -> int:
    low, high = int(amount.min()), int(amount.max())
    return next(width for width in (1, 2, 4, 8) if -(1 << (8 * width - 1)) <= low and high < 1 << (8 * width - 1))

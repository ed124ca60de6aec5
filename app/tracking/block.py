"""Format 1 of a block: the columns of up to 65,536 predictions, as they came, in one byte string.

Length of the header (uint32) · header (msgpack: n, and kind, name, values, buffer sizes of each column) · the buffers,
little-endian, each starting at a multiple of 8. Row i of a block is the row of its place. A blanked row (erased) keeps
its place; its values are gone.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import MISSING, Coded, Feature, Numbers, Text

FORMAT = 1
_LENGTH = struct.Struct("<I")
_ALIGN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """n predictions; `known_at` is given for imports only (else all arrived with the block)."""

    ids: Text
    predicted_at: NDArray[np.int64]  # us
    context_id: NDArray[np.int32]
    predicted: NDArray[np.int32]
    score: NDArray[np.float64]  # NaN where a row has none
    scores: NDArray[np.float64] | None  # (n, k)
    features: Mapping[str, Feature]
    segments: Mapping[str, Coded]  # as sent, before any was counted as `__other__`
    known_at: NDArray[np.int64] | None = None  # us
    blank: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.predicted_at)


class _Column(msgspec.Struct, array_like=True):
    kind: str
    name: str
    dtypes: list[str]
    sizes: list[int]  # bytes of each buffer
    values: list[str] = []


class _Header(msgspec.Struct, array_like=True):
    n: int
    columns: list[_Column]


def pack(block: Block) -> bytes:
    """The body of a `block` row."""
    columns = list(_columns(block))
    described = [
        _Column(kind, name, [buffer.dtype.str for buffer in buffers], [buffer.nbytes for buffer in buffers], values)
        for kind, name, values, buffers in columns
    ]
    header = msgspec.msgpack.encode(_Header(len(block), described))
    parts = [_LENGTH.pack(len(header)), header, b"\0" * (-(len(header) + _LENGTH.size) % _ALIGN)]
    for _, _, _, buffers in columns:
        for buffer in buffers:
            parts += [buffer.tobytes(), b"\0" * (-buffer.nbytes % _ALIGN)]
    return b"".join(parts)


def unpack(body: bytes) -> Block:
    """The inverse of `pack`. The arrays look into `body`: they can't be written to."""
    (length,) = _LENGTH.unpack_from(body)
    header = msgspec.msgpack.decode(body[_LENGTH.size : _LENGTH.size + length], type=_Header)
    at = _aligned(_LENGTH.size + length)
    fields: dict[str, Any] = {}
    features: dict[str, Feature] = {}
    segments: dict[str, Coded] = {}
    for column in header.columns:
        buffers = []
        for dtype, size in zip(column.dtypes, column.sizes, strict=True):
            buffers.append(np.frombuffer(body, dtype, size // np.dtype(dtype).itemsize, at))
            at = _aligned(at + size)
        match column.kind:
            case "text":
                offsets = np.concatenate(([0], np.cumsum(buffers[0], dtype=np.int64)))
                fields[column.name] = Text(buffers[1].tobytes(), offsets)
            case "field":
                fields[column.name] = buffers[0]
            case "scores":
                fields["scores"] = buffers[0].reshape(header.n, -1)
            case "number":
                features[column.name] = _numbers(buffers)
            case "category":
                features[column.name] = Coded(_codes(buffers), tuple(column.values))
            case "segment":
                segments[column.name] = Coded(_codes(buffers), tuple(column.values))
    return Block(scores=fields.pop("scores", None), features=features, segments=segments, **_plain(fields))


def blanked(block: Block, rows: NDArray[np.intp]) -> Block:
    """The block without the ids and values of `rows`; their places, times and contexts stay for the counts."""
    gone = np.zeros(len(block), np.bool_)
    gone[rows] = True
    return replace(
        block,
        ids=_blank_text(block.ids, gone),
        score=np.where(gone, np.nan, block.score),
        predicted=np.where(gone, 0, block.predicted),
        scores=None if block.scores is None else np.where(gone[:, None], np.nan, block.scores),
        features={name: _blank_feature(column, gone) for name, column in block.features.items()},
        segments={name: _blank_coded(column, gone) for name, column in block.segments.items()},
        blank=gone if block.blank is None else block.blank | gone,
    )


def _columns(block: Block) -> Iterator[tuple[str, str, list[str], list[NDArray[Any]]]]:
    """Kind, name, dictionary and buffers of every column; widths as small as the values allow."""
    lengths = np.diff(block.ids.offsets)
    data = np.frombuffer(block.ids.data, np.uint8)[block.ids.offsets[0] : block.ids.offsets[-1]]
    yield "text", "ids", [], [lengths.astype("<u2"), data]
    yield "field", "predicted_at", [], [block.predicted_at.astype("<i8", copy=False)]
    yield "field", "context_id", [], [block.context_id.astype("<i4", copy=False)]
    yield "field", "predicted", [], [block.predicted.astype("<i2")]
    yield "field", "score", [], [block.score.astype("<f8", copy=False)]
    if block.scores is not None:
        yield "scores", "scores", [], [block.scores.astype("<f8", copy=False)]
    if block.known_at is not None:
        yield "field", "known_at", [], [block.known_at.astype("<i8", copy=False)]
    if block.blank is not None:
        yield "field", "blank", [], [block.blank]
    for name, column in block.features.items():
        if isinstance(column, Numbers):
            yield "number", name, [], [column.values.astype("<f8", copy=False), *_validity(column.valid)]
        else:
            yield "category", name, list(column.values), [_narrow(column)]
    for name, column in block.segments.items():
        yield "segment", name, list(column.values), [_narrow(column)]


def _aligned(at: int) -> int:
    return at + -at % _ALIGN


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "predicted": fields["predicted"].astype(np.int32)}


def _narrow(column: Coded) -> NDArray[np.integer]:
    size = len(column.values)
    return column.codes.astype("<i1" if size < 1 << 7 else "<i2" if size < 1 << 15 else "<i4")


def _codes(buffers: list[NDArray[Any]]) -> NDArray[np.int32]:
    return buffers[0].astype(np.int32)


def _validity(valid: NDArray[np.bool_] | None) -> list[NDArray[np.uint8]]:
    return [] if valid is None else [np.packbits(valid, bitorder="little")]


def _numbers(buffers: list[NDArray[Any]]) -> Numbers:
    if len(buffers) == 1:
        return Numbers(buffers[0])
    return Numbers(buffers[0], np.unpackbits(buffers[1], count=len(buffers[0]), bitorder="little").astype(np.bool_))


def _blank_text(text: Text, gone: NDArray[np.bool_]) -> Text:
    lengths = np.diff(text.offsets)
    kept = np.frombuffer(text.data, np.uint8)[text.offsets[0] : text.offsets[-1]][np.repeat(~gone, lengths)]
    return Text(kept.tobytes(), np.concatenate(([0], np.cumsum(np.where(gone, 0, lengths)))))


def _blank_feature(column: Feature, gone: NDArray[np.bool_]) -> Feature:
    if isinstance(column, Coded):
        return _blank_coded(column, gone)
    valid = ~gone if column.valid is None else column.valid & ~gone
    return Numbers(np.where(gone, np.nan, column.values), valid)


def _blank_coded(column: Coded, gone: NDArray[np.bool_]) -> Coded:
    """Values that only blanked rows had leave the dictionary too."""
    codes = np.where(gone, MISSING, column.codes)
    used = np.unique(codes[codes != MISSING])
    places = np.full(len(column.values) + 1, MISSING, np.int32)
    places[used] = np.arange(len(used))
    return Coded(places[codes], tuple(column.values[code] for code in used))

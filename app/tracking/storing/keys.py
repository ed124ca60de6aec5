"""The key of a prediction: model (4 bytes, big-endian), kind (1 byte), then the id in a form that keeps its order.

Kind 0: UTF-8 up to 64 bytes as it is. Kind 1: a canonical lower-case UUID as its 16 bytes. Kind 2: longer than that:
its first 32 bytes and 16 of its SHA-256. Kinds 0 and 1 are injective; a collision of kind 2 shows as a conflict, as
the whole id is mixed into the content.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import Text

LONGEST_PLAIN = 64
UUID_LENGTH = 36
_DASHES = np.array([8, 13, 18, 23])
_DIGITS = np.setdiff1d(np.arange(UUID_LENGTH), _DASHES)
_HEX = b"0123456789abcdef"
_IS_HEX = np.isin(np.arange(256, dtype=np.uint8), np.frombuffer(_HEX, np.uint8))

Rows = NDArray[np.intp]
Matrix = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class KeyGroup:
    """Keys of one length, sorted; `rows[i]` is the row of the batch that `keys[i]` belongs to."""

    keys: NDArray[np.bytes_]  # S{length}
    rows: Rows

    @property
    def length(self) -> int:
        return self.keys.dtype.itemsize

    def take(self, wanted: NDArray[Any]) -> "KeyGroup":
        return KeyGroup(self.keys[wanted], self.rows[wanted])


@dataclass(frozen=True, eq=False)
class Keys:
    """Every key of a batch in the one order of all writers: by length, then by bytes, then by row.

    Locks on the primary key are taken in this order, so that no two transactions can wait for each other.
    """

    groups: tuple[KeyGroup, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Rows:
        """The batch's rows in key order."""
        return np.concatenate([group.rows for group in self.groups]) if self.groups else np.empty(0, np.intp)

    @cached_property
    def first(self) -> Rows:
        """By place in key order: the place where the first row of the same key stands."""
        found, start = [], 0
        for group in self.groups:
            new = np.ones(len(group.rows), np.bool_)
            np.not_equal(group.keys[1:], group.keys[:-1], out=new[1:])
            starts = np.flatnonzero(new)
            found.append(np.repeat(starts, np.diff(starts, append=len(new))) + start)
            start += len(new)
        return np.concatenate(found) if found else np.empty(0, np.intp)

    def tolist(self) -> list[bytes]:
        """The keys, in order."""
        found: list[bytes] = []
        for group in self.groups:
            body = group.keys.tobytes()  # numpy's own conversion would cut trailing zero bytes
            found += [body[at : at + group.length] for at in range(0, len(body), group.length)]
        return found

    def take(self, wanted: NDArray[np.bool_]) -> "Keys":
        """Those places in key order that are `wanted`; the rows keep their numbers."""
        edges = np.cumsum([0, *(len(group.rows) for group in self.groups)])
        parts = [
            group.take(wanted[low:high])
            for group, low, high in zip(self.groups, edges[:-1], edges[1:], strict=True)
            if wanted[low:high].any()
        ]
        return Keys(tuple(parts))


def encode(model_no: int, ids: Text) -> Keys:
    """The keys of a batch's ids."""
    lengths = np.diff(ids.offsets)
    pieces: dict[int, list[tuple[Matrix, Rows]]] = {}
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        for kind, body, mine in _by_kind(_matrix(ids, rows, length), rows):
            pieces.setdefault(body.shape[1], []).append((_with_head(model_no, kind, body), mine))
    return Keys(tuple(_group(pieces[length]) for length in sorted(pieces)))


def key_of(model_no: int, prediction_id: str) -> bytes:
    """The key of one id."""
    data = prediction_id.encode()
    return encode(model_no, Text(data, np.array([0, len(data)]))).tolist()[0]


def is_long(ids: Text) -> Rows:
    """The rows whose key does not hold the whole id."""
    return np.flatnonzero(np.diff(ids.offsets) > LONGEST_PLAIN)


def _matrix(ids: Text, rows: Rows, length: int) -> Matrix:
    """The bytes of ids of one length, a row each."""
    data = np.frombuffer(ids.data, np.uint8)
    if len(rows) == len(ids):
        return data[ids.offsets[0] : ids.offsets[-1]].reshape(len(rows), length)
    picked: Matrix = data[ids.offsets[rows][:, None] + np.arange(length)]
    return picked


def _by_kind(ids: Matrix, rows: Rows) -> list[tuple[int, Matrix, Rows]]:
    length = ids.shape[1]
    if length > LONGEST_PLAIN:
        return [(2, _digested(ids), rows)]
    if length != UUID_LENGTH:
        return [(0, ids, rows)]
    canonical = (ids[:, _DASHES] == ord("-")).all(axis=1)
    if canonical.any():
        canonical &= _IS_HEX[ids[:, _DIGITS]].all(axis=1)
    plain = ~canonical
    parts = [(1, _packed(ids[canonical]), rows[canonical]), (0, ids[plain], rows[plain])]
    return [part for part in parts if len(part[2])]


def _packed(uuids: Matrix) -> Matrix:
    packed = bytes.fromhex(uuids.tobytes().translate(None, b"-").decode())
    return np.frombuffer(packed, np.uint8).reshape(-1, 16)


def _digested(ids: Matrix) -> Matrix:
    digests = b"".join(hashlib.sha256(row.tobytes()).digest()[:16] for row in ids)
    return np.hstack([ids[:, :32], np.frombuffer(digests, np.uint8).reshape(-1, 16)])


def _with_head(model_no: int, kind: int, body: Matrix) -> Matrix:
    keys = np.empty((len(body), 5 + body.shape[1]), np.uint8)
    keys[:, :5] = np.frombuffer(model_no.to_bytes(4, "big") + bytes([kind]), np.uint8)
    keys[:, 5:] = body
    return keys


def _group(parts: list[tuple[Matrix, Rows]]) -> KeyGroup:
    matrix = np.ascontiguousarray(np.vstack([keys for keys, _ in parts]) if len(parts) > 1 else parts[0][0])
    rows = np.concatenate([mine for _, mine in parts]) if len(parts) > 1 else parts[0][1]
    keys = matrix.view(f"S{matrix.shape[1]}")[:, 0]
    order = np.argsort(keys, kind="stable")  # ids that come in order cost one pass
    return KeyGroup(keys[order], rows[order])

"""An Arrow IPC stream of unknown hands → one record batch that is safe to look at.

Arrow trusts its input: offsets are followed, compressed buffers are as large as they say, one buffer can be named by a
thousand views. All of that is checked here, before anything is computed from a column.
"""

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import ipc, types

from app.tracking.decoding.columns import Terms
from app.tracking.decoding.errors import MalformedBody
from app.tracking.places import Origin

MAX_TEXT = 64 << 20  # bytes that views may stand for; the buffers of an honest body hold no more than the body

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
# Of Arrow's flatbuffers (format/Message.fbs): numbers of fields, and values of the union of headers
_HEADER_TYPE, _HEADER, _DICTIONARY_DATA, _COMPRESSION = 1, 2, 1, 3
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_VIEW_WORDS = 4  # a view is 16 bytes, its first int32 the length


def read_stream(body: bytes, terms: Terms, origin: Origin) -> pa.RecordBatch:
    """Raises `MalformedBody`, `TooManyRows`, or `InvalidRequest` for no rows."""
    try:
        _refuse_compressed(body)
        batches = list(_batches(body, terms, origin))
        terms.size(sum(batch.num_rows for batch in batches), origin)
        batch = batches[0] if len(batches) == 1 else _joined(batches)
        batch.validate()
        for field in batch.schema:
            _spell(field)
        for column in batch.columns:
            if _has_views(column.type):
                _refuse_amplified(column)
        batch.validate(full=True)
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise MalformedBody("The body is not a valid Arrow IPC stream.") from error
    return batch


def _batches(body: bytes, terms: Terms, origin: Origin) -> Iterator[pa.RecordBatch]:
    """Stops at the first that is too many: a null column has any length for nothing."""
    rows = 0
    for batch in ipc.open_stream(body, options=ipc.IpcReadOptions(use_threads=False)):
        rows += batch.num_rows
        if rows > terms.max_rows:
            terms.size(rows, origin)
        if batch.num_rows:
            yield batch


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches).unify_dictionaries()
    return table.combine_chunks().to_batches()[0]


def _refuse_compressed(body: bytes) -> None:
    """A few bytes of a compressed buffer can stand for gigabytes, and are unpacked before their size can be asked."""
    for message in ipc.MessageReader.open_stream(body):
        if message.type in {"record batch", "dictionary"} and _is_compressed(message.metadata.to_pybytes()):
            raise MalformedBody("Compressed buffers are not read; write the stream without compression.")


def _is_compressed(metadata: bytes) -> bool:
    """By the flatbuffer of a message: whether its record batch, or its dictionary's, names a codec."""
    root = _U32.unpack_from(metadata)[0]
    kind = metadata[_field(metadata, root, _HEADER_TYPE) or 0]
    header = _table(metadata, root, _HEADER)
    if kind == _DICTIONARY_BATCH and header is not None:
        header = _table(metadata, header, _DICTIONARY_DATA)
    return header is None or _field(metadata, header, _COMPRESSION) is not None


def _table(metadata: bytes, table: int, number: int) -> int | None:
    """Where the table of a field starts."""
    place = _field(metadata, table, number)
    return None if place is None else place + int(_U32.unpack_from(metadata, place)[0])


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Where a field of a table stands: the table points back to its vtable, which lists the fields' offsets."""
    vtable = table - _I32.unpack_from(metadata, table)[0]
    entry = 4 + 2 * number
    if entry >= _U16.unpack_from(metadata, vtable)[0]:
        return None
    offset = _U16.unpack_from(metadata, vtable + entry)[0]
    return table + offset if offset else None


def _spell(field: pa.Field) -> str:
    """The name, and so those of a struct's members; raises UnicodeDecodeError where one is not UTF-8."""
    if types.is_struct(field.type):
        for member in field.type:
            _spell(member)
    return str(field.name)


def _has_views(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _has_views(kind.value_type)
    if types.is_struct(kind):
        return any(_has_views(field.type) for field in kind)
    return bool(types.is_string_view(kind) or types.is_binary_view(kind))


def _refuse_amplified(column: pa.Array) -> None:
    """Views may share bytes, so what they stand for is added up before any of it is copied or checked as UTF-8."""
    kind = column.type
    if types.is_dictionary(kind):
        _refuse_amplified(column.dictionary)
    elif types.is_struct(kind):
        for number in range(kind.num_fields):
            _refuse_amplified(column.field(number))
    elif types.is_string_view(kind) or types.is_binary_view(kind):
        words = np.frombuffer(column.buffers()[1], np.int32, _VIEW_WORDS * (column.offset + len(column)))
        lengths = words[_VIEW_WORDS * column.offset :: _VIEW_WORDS]
        if lengths.sum(dtype=np.int64) > MAX_TEXT:
            raise MalformedBody("The stream's views stand for more text than a request may hold.")

"""Made-up predictions, 10 numeric features each, in every form a client may send, and as raw COPY records."""

import io
import uuid

import msgspec
import numpy as np
import pyarrow as pa

FEATURES = tuple(f"f{i}" for i in range(10))
ARROW = "application/vnd.apache.arrow.stream"


class Numbering:
    """Hands out ids that no earlier batch had."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, n: int) -> int:
        """The first of n fresh numbers."""
        first = self._next
        self._next += n
        return first


class Rows:
    """n predictions; ids are ordered (`p0000000001` …) or random UUIDs; timestamps spread over `hours`."""

    def __init__(self, first: int, n: int, *, random_ids: bool = False, hours: float = 1, seed: int = 0) -> None:
        draw = np.random.default_rng((seed, first))
        self.n = n
        self.ids = [str(uuid.uuid4()) for _ in range(n)] if random_ids else [f"p{first + i:010d}" for i in range(n)]
        offsets = np.sort(draw.integers(0, int(hours * 3600), n))
        self.times = _now() - np.timedelta64(int(hours * 3600), "s") + offsets.astype("timedelta64[s]")
        self.score = np.round(draw.random(n), 6)
        self.features = np.round(draw.normal(size=(len(FEATURES), n)), 6)
        self.actual = (draw.random(n) < self.score).astype(int)

    def _stamps(self) -> list[str]:
        return [f"{text}Z" for text in np.datetime_as_string(self.times, unit="s").tolist()]

    def rows(self) -> bytes:
        """Row JSON."""
        features = self.features.T.tolist()
        return msgspec.json.encode(
            {
                "predictions": [
                    {
                        "prediction_id": name,
                        "timestamp": stamp,
                        "score": score,
                        "predicted": "1" if score >= 0.5 else "0",
                        "features": dict(zip(FEATURES, values, strict=True)),
                    }
                    for name, stamp, score, values in zip(
                        self.ids, self._stamps(), self.score.tolist(), features, strict=True
                    )
                ]
            }
        )

    def columns(self) -> bytes:
        """Column JSON."""
        return msgspec.json.encode(
            {
                "columns": {
                    "prediction_id": self.ids,
                    "timestamp": self._stamps(),
                    "score": self.score.tolist(),
                    "predicted": np.where(self.score >= 0.5, "1", "0").tolist(),
                    "features": {name: self.features[i].tolist() for i, name in enumerate(FEATURES)},
                }
            }
        )

    def arrow(self) -> bytes:
        """An Arrow IPC stream."""
        struct = pa.StructArray.from_arrays([pa.array(column) for column in self.features], names=list(FEATURES))
        table = pa.table(
            {
                "prediction_id": self.ids,
                "timestamp": pa.array(self.times.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
                "score": self.score,
                "predicted": np.where(self.score >= 0.5, "1", "0"),
                "features": struct,
            }
        )
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def labels(self) -> bytes:
        """Their labels as column JSON."""
        return msgspec.json.encode(
            {"columns": {"prediction_id": self.ids, "actual": [str(value) for value in self.actual.tolist()]}}
        )

    def copy(self) -> bytes:
        """The same rows as a binary COPY stream into `RAW_TABLE`'s 15 columns."""
        names = [name.encode() for name in self.ids]
        record = np.zeros(self.n, dtype=_record(len(names[0])))
        record["columns"] = len(_WIDTHS) + 1
        record["id_size"], record["id"] = len(names[0]), names
        for name, width in _WIDTHS:
            record[f"{name}_size"] = width
        record["model"], record["predicted"] = 1, (self.score >= 0.5).astype(np.int16)
        record["at"] = (self.times - np.datetime64("2000-01-01T00:00:00")).astype(np.int64) * 1_000_000
        record["score"] = self.score
        for i, name in enumerate(FEATURES):
            record[name] = self.features[i]
        return b"PGCOPY\n\xff\r\n\0" + bytes(8) + record.tobytes() + b"\xff\xff"


_WIDTHS = (("model", 4), ("at", 8), ("score", 8), ("predicted", 2), *((name, 8) for name in FEATURES))
_KINDS = {"model": ">i4", "at": ">i8", "score": ">f8", "predicted": ">i2"}
RAW_TABLE = (
    "create table raw (id text primary key, model int4 not null, at timestamptz not null, score float8 not null, "
    "predicted int2 not null, " + ", ".join(f"{name} float8 not null" for name in FEATURES) + ")"
)


def _record(id_size: int) -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("columns", ">i2"), ("id_size", ">i4"), ("id", f"S{id_size}")]
    for name, _ in _WIDTHS:
        fields += [(f"{name}_size", ">i4"), (name, _KINDS.get(name, ">f8"))]
    return np.dtype(fields)


def _now() -> np.datetime64:
    return np.datetime64("now", "s")

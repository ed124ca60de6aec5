"""Keys: injective, in the order of the ids, the same whoever encodes them beside whom."""

import hashlib
import random
import uuid

import numpy as np
import pytest

from app.tracking.batch import Text
from app.tracking.decoding.values import text
from app.tracking.storing.keys import encode, key_of

MODEL = 0x01020304
HEAD = bytes([1, 2, 3, 4])
LONG = "ä" * 33  # 66 bytes


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("a", HEAD + b"\0a", id="as it is"),
        pytest.param("ä" * 32, HEAD + b"\0" + "ä".encode() * 32, id="64 bytes are the longest plain id"),
        pytest.param(
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            HEAD + b"\1" + uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e").bytes,
            id="a canonical UUID in 16 bytes",
        ),
        pytest.param(
            "0F8FAD5B-d9cb-469f-a165-70867728950e",
            HEAD + b"\0" + b"0F8FAD5B-d9cb-469f-a165-70867728950e",
            id="upper case is another id",
        ),
        pytest.param(
            "0f8fad5b-d9cb-469f-a165-7086772895-e",
            HEAD + b"\0" + b"0f8fad5b-d9cb-469f-a165-7086772895-e",
            id="a dash too many",
        ),
        pytest.param(
            "0f8fad5bxd9cb-469f-a165-70867728950e",
            HEAD + b"\0" + b"0f8fad5bxd9cb-469f-a165-70867728950e",
            id="no dash where one belongs",
        ),
        pytest.param(
            LONG,
            HEAD + b"\2" + LONG.encode()[:32] + hashlib.sha256(LONG.encode()).digest()[:16],
            id="longer: a start and a digest",
        ),
    ],
)
def test_golden(name: str, key: bytes) -> None:
    assert key_of(MODEL, name) == key


def test_every_id_has_the_key_it_has_alone() -> None:
    draw = random.Random(1)
    names = [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(50)]
    names += ["".join(draw.choices("abäzéµ-0", k=draw.randrange(1, 90))) for _ in range(300)]
    keys = encode(MODEL, text(names))
    found = dict(zip(keys.rows.tolist(), keys.tolist(), strict=True))
    assert [found[row] for row in range(len(names))] == [key_of(MODEL, name) for name in names]
    assert len(set(found.values())) == len(set(names))


def test_are_sorted_by_length_then_bytes_then_row() -> None:
    names = ["b", "aa", "a", "b", "ab", "a"]
    keys = encode(MODEL, text(names))
    assert [key[5:] for key in keys.tolist()] == [b"a", b"a", b"b", b"b", b"aa", b"ab"]
    assert keys.rows.tolist() == [2, 5, 0, 3, 1, 4]
    assert keys.first.tolist() == [0, 0, 2, 2, 4, 5]


def test_numbered_ids_keep_their_order() -> None:
    draw = random.Random(2)
    numbers = draw.sample(range(10**6), 500)
    keys = encode(MODEL, text([f"p{number:08d}" for number in numbers]))
    assert [numbers[row] for row in keys.rows] == sorted(numbers)


def test_taking_some_keeps_rows_and_order() -> None:
    keys = encode(MODEL, text(["c", "aa", "a", "b"]))
    wanted = np.isin(keys.rows, [1, 3])
    assert keys.take(wanted).rows.tolist() == [3, 1]
    assert [key[5:] for key in keys.take(wanted).tolist()] == [b"b", b"aa"]


def test_a_slice_of_a_longer_buffer_is_read_where_it_lies() -> None:
    assert encode(MODEL, Text(b"xxabyy", np.array([2, 3, 4]))).tolist() == [HEAD + b"\0a", HEAD + b"\0b"]


def test_trailing_zero_bytes_of_packed_ids_stay() -> None:
    names = ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000100"]
    assert [key[5:].hex() for key in encode(MODEL, text(names)).tolist()] == ["0" * 32, "0" * 29 + "100"]

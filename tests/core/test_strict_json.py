"""Bodies that Python's JSON reader forgives."""

import time

import pytest

from app.core import strict_json
from app.core.errors import InvalidRequest

REFUSED = [
    (b'{"a": NaN}', "not_finite", "NaN is not JSON, and one makes every mean NaN for ever"),
    (b"[Infinity]", "not_finite", "nor is this"),
    (b"[-Infinity]", "not_finite", "nor this"),
    (b"[1e400]", "not_finite", "overflows to infinity"),
    (b'["\\ud800"]', "surrogate", "half a pair can't be UTF-8"),
    (b'{"\\udfff": 1}', "surrogate", "in a key as well"),
    (b'["\\u0000"]', "nul", "PostgreSQL keeps no NUL in text"),
    (b'{"a\\u0000": 1}', "nul", "in a key as well"),
    (b'{"a": 1, "a": 2}', "repeated_key", "the last would win silently"),
    (b'{"x": {"a": 1, "a": 2}}', "repeated_key", "deeper down as well"),
    (b"[" * 21 + b"]" * 21, "too_deep", "one deeper than allowed"),
    (b"[" * 100_000 + b"]" * 100_000, "too_deep", "would exhaust the stack"),
    (b'{"a":' * 21 + b"1" + b"}" * 21, "too_deep", "objects count too"),
    ('{"a": "é"}'.encode("latin-1"), "not_utf8", "another encoding"),
    ('{"a": 1}'.encode("utf-16"), "not_utf8", "Python would guess it"),
    (b'\xef\xbb\xbf{"a": 1}', "json_invalid", "a byte order mark is not JSON"),
    (b"[" + b"9" * 5000 + b"]", "json_invalid", "more digits than Python converts"),
    (b'{"a": }', "json_invalid", "a value is missing"),
    (b"{'a': 1}", "json_invalid", "wrong quotes"),
    (b'["\x01"]', "json_invalid", "a raw control character"),
    (b"[1,]", "json_invalid", "a comma too many"),
    (b"nul", "json_invalid", "not a word of JSON"),
    (b"{" + b",".join(b'"k%d":1' % n for n in range(1001)) + b"}", "too_many_keys", "1,001 keys"),
]
ACCEPTED = [
    b"null",
    b"[]",
    b'"text"',
    b"1e308",
    b'{"a": [1, 2.5, "x", true, null]}',
    '["ü 漢 😀"]'.encode(),
    b'["\\ud83d\\ude00"]',
    b'["\\\\u0000 is text here"]',
    b"[" * 20 + b"]" * 20,
    b'["' + b"[{" * 50 + b'"]',
    b'"' + b'\\"[' * 30 + b'"',
]


class TestCheck:
    @pytest.mark.parametrize(("body", "code", "reason"), REFUSED, ids=[reason for _, _, reason in REFUSED])
    def test_refuses(self, body: bytes, code: str, reason: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            strict_json.check(body)
        assert [place.code for place in refused.value.places] == [code], reason

    @pytest.mark.parametrize("body", ACCEPTED)
    def test_lets_pass(self, body: bytes) -> None:
        strict_json.check(body)

    @pytest.mark.parametrize(
        ("body", "pointer", "message"),
        [
            (b'{"x": [{}, {"a/b": 1, "a/b": 2}]}', "/x/1/a~1b", "an object has the same key twice: a/b"),
            (b'{"x": [1, NaN]}', "/x/1", "NaN is not a JSON number"),
            (b'{"x": {"y": -1e999}}', "/x/y", "a number is beyond what a double can hold"),
            (b'{"x": ["a", "b\\u0000"]}', "/x/1", "the text holds U+0000"),
            (b'{"x": {"k\\u0000": 1}}', "/x/k\0", "the key holds U+0000"),
            (b'{"x": ["\\ud83d\\ude00", "\\ud83d"]}', "/x/1", "the text holds half of a surrogate pair"),
            (b'{"x": {"\\ud83d": 1}}', "/x/\\ud83d", "the key holds half of a surrogate pair"),
            (b'{"x": ' + b"[" * 20 + b"]" * 20 + b"}", "/x" + "/0" * 19, "nested deeper than 20"),
            (b'{"x": {' + b",".join(b'"k%d":1' % n for n in range(1001)) + b"}}", "/x", "more than 1000 keys"),
            (b"[" * 100_000, "", "nested deeper than 20"),
            (b'{"x": NaN, "y"}', "", "NaN is not a JSON number"),
        ],
    )
    def test_says_where(self, body: bytes, pointer: str, message: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            strict_json.check(body)
        (place,) = refused.value.places
        assert place.pointer == pointer
        assert message in place.message

    @pytest.mark.parametrize("filling", [b"1,", b'"",', b'"\\ud83d\\ude00",', b"{},", b"[1],"])
    def test_says_so_in_little_time_though_the_body_is_large(self, filling: bytes) -> None:
        many = 256_000 // len(filling)
        body = b"[" + filling * many + b"NaN]"
        begun = time.thread_time()
        with pytest.raises(InvalidRequest) as refused:
            strict_json.check(body)
        assert time.thread_time() - begun < 1  # about 0.1 s, however busy the machine is
        assert refused.value.places[0].pointer == f"/{many}"

    @pytest.mark.parametrize("text", [b'"' + b'\\"' * 500_000, b'"' * 1_000_000, b"\\" * 1_000_000, b"[" * 1_000_000])
    def test_goes_through_a_body_once_whatever_stands_in_it(self, text: bytes) -> None:
        begun = time.thread_time()
        with pytest.raises(InvalidRequest):
            strict_json.check(b"[" * 21 + text)
        assert time.thread_time() - begun < 1  # about 0.03 s

    def test_looks_for_no_place_in_more(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            strict_json.check(b"[" + b"{}," * 100_000 + b"NaN]")
        assert [(place.pointer, place.code) for place in refused.value.places] == [("", "not_finite")]

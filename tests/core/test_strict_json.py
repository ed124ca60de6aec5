"""Bodies that Python's JSON reader forgives."""

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

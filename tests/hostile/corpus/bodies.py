"""Whole bodies, each with its media type: encodings, lies about the type, depth, size, forms, compressed bombs."""

import gzip
import zlib

JSON, FORM, NDJSON = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

OF_JSON = [
    b"",
    b" ",
    b"\x00",
    b"{",
    b"}",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"0",
    b'"text"',
    b"NaN",
    b"9" * 5000,
    b"[" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 20 + b"]" * 20,
    b'{"a": 1, "a": 2}',
    b"{" + b",".join(b'"%d": 0' % n for n in range(1001)) + b"}",
    b'{"a": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"\\u0000": 1}',
    b'{"__proto__": {"role": "admin"}, "constructor": {"prototype": {}}}',
    b'{"role": "admin", "is_admin": true, "id": 1, "status": "production"}',
    b"\xff\xfe{\x00}\x00",  # UTF-16
    b"\x00\x00\x00{\x00\x00\x00}",  # UTF-32
    b"\xef\xbb\xbf{}",  # byte order mark
    b'{"a": "\xed\xa0\x80"}',  # a surrogate in UTF-8
    b'{"a": "\xc0\xaf"}',  # an overlong slash
    b'{"a": "\xf5\x80\x80\x80"}',
    b'{"a": "\xff"}',
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": 1} {"a": 2}',
    b'{"a": 1}\x00',
    b'/* c */ {"a": 1}',
    b'{"a": ' + b" " * 200_000 + b"1}",
    b'{"a": "' + b"x" * 900_000 + b'"}',
    b'{"a": "' + b"\\u0041" * 100_000 + b'"}',
    b" " * ((1 << 20) + 1),
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    b"a=b&c=d",
    gzip.compress(b'{"a": 1}'),
    zlib.compress(b" " * 10_000_000),
]

OF_ROWS = [
    b'{"predictions": []}',
    b'{"labels": []}',
    b'{"predictions": null}',
    b'{"predictions": {}}',
    b'{"predictions": [null]}',
    b'{"predictions": [[]]}',
    b'{"predictions": [{}]}',
    b'{"labels": [{}]}',
    b'{"predictions": [], "columns": {}}',
    b'{"columns": {}}',
    b'{"columns": []}',
    b'{"columns": {"prediction_id": []}}',
    b'{"columns": {"prediction_id": ["a", "b"], "score": [1]}}',
    b'{"columns": {"prediction_id": ["a"], "score": [0.1], "features": {"f": [1, 2]}}}',
    b'{"columns": {"prediction_id": ["a"], "score": [0.1], "segment": {"": ["x"]}}}',
    b'{"predictions": [{"prediction_id": "a", "inference_id": "b", "score": 0.1}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.1}, {"prediction_id": "a", "score": 1.2}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.1, "scores": {"0": 0.1, "1": 0.9}}]}',
    b'{"predictions": [{"prediction_id": "a", "scores": {"0": -1, "1": 2}}]}',
    b'{"predictions": [{"prediction_id": "a", "scores": {}}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "features": {"a": {"b": 1}}}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "segment": {"a": 1.5}}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "unknown": 1}]}',
    b'{"labels": [{"prediction_id": "a", "actual": {"deep": [[[[]]]]}}]}',
    b'{"labels": [{"prediction_id": "a", "actual": "1", "correction": "yes"}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "features": {'
    + b",".join(b'"f%d": %d' % (n, n) for n in range(2000))
    + b"}}]}",
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "segment": {'
    + b",".join(b'"s%d": "v"' % n for n in range(100))
    + b"}}]}",
    b'{"predictions": [' + b",".join(b'{"prediction_id": "%d"}' % n for n in range(60_000)) + b"]}",
    b'{"columns": {"prediction_id": [' + b",".join(b'"c%d"' % n for n in range(70_000)) + b"]}}",
]

OF_LINES = [
    b"",
    b"\n",
    b"\n\n\n",
    b"{}\n",
    b"null\n",
    b'{"prediction_id": "a", "score": 0.1}\n{',
    b'{"prediction_id": "a", "score": 0.1}\r\n',
    b'{"prediction_id": "a", "score": 0.1}{"prediction_id": "b", "score": 0.1}\n',
    b'[{"prediction_id": "a"}]\n',
    b"{}\n" * 70_000,
    b'{"prediction_id": "a", "actual": "1"}\n' * 3,
    b"\xff\n",
]

OF_FORMS = [
    b"",
    b"username=a",
    b"username=%00&password=%00",
    b"username=%ff%fe&password=%ed%a0%80",
    b"username=a&username=b&password=c",
    b"username[]=a&password[$ne]=b",
    b"username=a&password=" + b"x" * 100_000,
    b"username=" + b"a" * 255 + b"&password=b",
    b"username=a%40b.c&password=b&cookie=maybe",
    b"username=a%0d%0aX: y&password=b",
    b"&" * 100_000,
    b"=" * 100_000,
    b"a=b&" * 5000,
    b"%" * 1000,
    b"username=%u0041&password=%",
]

OF_ARROW = [
    b"",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\x00" * 16,
    b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\xff" * 16,
    b"ARROW1\x00\x00",
    b"PAR1" + b"\x00" * 100,
    b"\x00" * 1000,
]

MULTIPART = "multipart/form-data; boundary=x"
OF_PARTS = [
    b"",
    b"--x",
    b"--x--",
    b"--x\r\n\r\n\r\n--x--",
    b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\na\r\n--x--',
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../x"\r\n\r\na\r\n--x--',
    b"--x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n--x--",
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 2000 + b"--x--",
    b"-" * 100_000,
]

KINDS = [
    "",
    "text/plain",
    "a/b/c",
    "application/json; charset=utf-16",
    "application/json; charset=nonsense",
    "APPLICATION/JSON",
    "application/json;;;",
    "application/vnd.api+json",
    "multipart/form-data",
    "multipart/form-data; boundary=" + "x" * 5000,
    "multipart/mixed; boundary=x",
    "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-python-pickle",
    "image/svg+xml",
]

ALL: list[tuple[str, bytes]] = [
    *((JSON, body) for body in (*OF_JSON, *OF_ROWS)),
    *((NDJSON, body) for body in OF_LINES),
    *((FORM, body) for body in OF_FORMS),
    *((ARROW, body) for body in OF_ARROW),
    *((MULTIPART, body) for body in OF_PARTS),
    *((kind, b'{"a": 1}') for kind in KINDS),
    *((kind, b"") for kind in KINDS),
]

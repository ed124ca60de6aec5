"""Texts that break whoever splices, decodes, stores, logs or compares them carelessly."""

SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE model; --",
    "1' UNION SELECT null,version(),null--",
    '" OR ""="',
    "1; SELECT pg_sleep(10)",
    "$$; SELECT 1; $$",
    "'||pg_sleep(10)||'",
    "\\'; SELECT 1; --",
    "%' AND 1=0 UNION SELECT rolpassword FROM pg_authid--",
    "x'; COPY (SELECT 1) TO PROGRAM 'id'; --",
    ":name",
    "$1",
    "%s%d%n",
    "{0.__class__.__mro__}",
]

PATHS = [
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "//proc/self/root/etc/passwd",
    "file:///etc/passwd",
    "%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252f",
    "/etc/passwd#fragment",
    "a;b=c",
    "~root",
    "C:\\",
    "\\\\host\\share",
    "con",
    "./.",
    "${jndi:ldap://127.0.0.1/a}",
    "http://169.254.169.254/latest/meta-data/",
]

LINES = [
    'a\r\n{"event": "forged"}',
    "a\nSet-Cookie: a=b",
    "a\rb",
    "\x1b[2J\x1b[31mred",
    "a\u2028b\u2029c",
    "a\x85b",
    "a\tb",
    "\x07\x08\x7f",
    "\u202etxt.exe",
]

UNICODE = [
    "",
    " ",
    "\u00a0",
    "\ufeffbom",
    "e\u0301",  # NFD of é
    "ﬁ",  # NFKC makes two letters of it
    "İı",  # lower and upper change the length
    "ß",
    "👩‍👩‍👧‍👦",
    "\U0010ffff",
    "\ufffe\uffff",
    "a\u0300" * 40,
    "ＡＢＣ",
    "٣",  # a digit, but not of ASCII
    "Ω" * 128,
    "x" * 129,
    "x" * 20_000,
]

WORDS = [
    "null",
    "undefined",
    "None",
    "NaN",
    "true",
    "constructor",
    "__proto__",
    "__other__",
    "__init__",
    "[object Object]",
    "0x10",
    "1e400",
    "1_000",
    "-0",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "<!--#exec cmd='id'-->",
    "a,b;c\"d'e`f",
    "*",
    "?",
    "&",
    "=",
    "#",
]

TIMES = [
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "10000-01-01T00:00:00Z",
    "-1-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00+23:59",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00.123456789123456789Z",
    "2026-01-01",
    "20260101T000000Z",
    "1767225600",
    "1767225600000000000000000",
    "now",
    "2026-W01-1",
    "2026-01-01T00:00:00Z ",
    "２０２６-01-01T00:00:00Z",
]

ALL = [*SQL, *PATHS, *LINES, *UNICODE, *WORDS, *TIMES]

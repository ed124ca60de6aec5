"""E-mail addresses: how each is spelled here, which is what is measured, kept and compared."""

import re
from unicodedata import normalize

MAX_LENGTH = 254  # of a path in SMTP without its brackets (RFC 5321, 4.5.3.1.3)
PATTERN = r"^[^@\s\x00-\x20\x7f]+@[^@\s\x00-\x20\x7f]+$"
_ADDRESS = re.compile(PATTERN)


def normalised(email: str) -> str:
    """Without regard to case, and to whether an accent is a character of its own: NFC, which only makes one of two
    spellings of the same text. NFKC would also make one of addresses that look different.

    >>> normalised(" Cafe\\u0301@Example.com") == "caf\\u00e9@example.com"
    True
    """
    return normalize("NFC", normalize("NFC", email.strip()).lower())  # lower case of some is in two parts


def is_address(email: str) -> bool:
    """As it is kept: some texts grow as they are normalised.

    >>> is_address("\\u0130" * 100 + "@example.com"), is_address("\\u0130" * 200 + "@example.com")
    (True, False)
    """
    spelled = normalised(email)
    return len(spelled) <= MAX_LENGTH and _ADDRESS.fullmatch(spelled) is not None

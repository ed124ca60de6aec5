"""Passwords: how each is spelled here, which is what is measured, estimated, hashed and compared."""

from unicodedata import normalize

MIN_LENGTH = 12
MAX_LENGTH = 128
MAX_GIVEN = 4 * MAX_LENGTH  # in code points, what another spelling of the longest has at most (UAX #15)
EXAMPLE = "correct horse battery staple"  # of the documents; the best known there is, so refused as a new one


def normalised(password: str) -> str:
    """The same for whatever a keyboard, a script or a paste writes for one text: NFKC, which NIST SP 800-63B (revision
    3, 5.1.1.2) wants before hashing.

    >>> normalised("Blu\\u0308e-Kettle") == normalised("Bl\\u00fce-Kettle") == "Bl\\u00fce-Kettle"
    True
    """
    return normalize("NFKC", password)

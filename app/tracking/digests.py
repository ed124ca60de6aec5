"""What is kept in place of what must not be kept: keyed hashes, whose key lives in the database with the rows."""

import hashlib

SIZE = 16


def subject_digest(secret: bytes, subject: str) -> bytes:
    """Under which a subject's rows are found again; the name itself is not kept."""
    return hashlib.blake2b(subject.encode(), key=secret, digest_size=SIZE).digest()


def key_digest(secret: bytes, key: bytes) -> bytes:
    """By which the key of an erased prediction is known again."""
    return hashlib.blake2b(key, key=secret, digest_size=SIZE, person=b"erased").digest()

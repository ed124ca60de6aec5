"""Passwords: argon2id, off the event loop, two at a time; new ones that are easily guessed are refused."""

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.auth.errors import GuessablePassword
from app.core.errors import Place
from app.core.guessing import guesses
from app.core.passwords import EXAMPLE, normalised

_AT_ONCE = 2  # each takes 19 MiB and about 27 ms of a core; more at once would starve everything else
_MIN_GUESSES = 1e6  # what five tries a minute would reach within a few months
_PUBLISHED = EXAMPLE.replace(" ", "")

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's argon2id setting


@cache
def _dummy() -> str:
    """Stands in for the hash of an account that there is not."""
    return _HASHER.hash(secrets.token_urlsafe())


def demand_unguessable(password: str, *known: str) -> None:
    """`known`: what an attacker would try first, as the address. Raises `GuessablePassword`."""
    text = normalised(password)
    words = re.sub(r"[\W_]+", "", text.lower())
    if _PUBLISHED in words:
        text = words.replace(_PUBLISHED, " ")  # what is one's own must do, whatever stands between the words
    if guesses(text, "assay", *known) < _MIN_GUESSES:
        message = "is among those that are tried first; several random words make a better one"
        raise GuessablePassword(f"the password {message}", places=[Place("/password", "guessable", message)])


class Passwords:
    """Hashes and verifies. An unknown account costs what a known one costs."""

    def __init__(self) -> None:
        # of its own: each thread that ever did this keeps its 19 MiB, and the common ones are many
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        _dummy()  # now, so that the first unknown account costs no more than the second

    async def hash_new(self, password: str, *known: str) -> str:
        """`known` and what is raised: as `demand_unguessable`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hash, password, known)

    def _hash(self, password: str, known: tuple[str, ...]) -> str:
        demand_unguessable(password, *known)
        return _HASHER.hash(_bytes(normalised(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """`stored` None: there is no such account; the same work is done and the answer is no.

        Also as it was given: what was hashed before passwords were normalised lets in by no other spelling. A wrong one
        in a spelling of its own costs two hashes then, whether there is the account or not.
        """
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._threads, self._fits, stored or _dummy(), password)
        return fits and stored is not None

    def _fits(self, stored: str, password: str) -> bool:
        spellings = dict.fromkeys((normalised(password), password))  # the normalised one first, each once
        return any(_is_of(stored, spelled) for spelled in spellings)


def _is_of(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")

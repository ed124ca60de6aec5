"""Hashing under load: it leaves room for everything else."""

import asyncio
import threading

from app.auth.passwords import Passwords

KNOWN, WRONG = "correct horse battery staple", "incorrect horse battery staple"


async def test_of_many_at_once_two_are_worked_on_in_threads_of_their_own() -> None:
    passwords = Passwords()
    before = set(threading.enumerate())
    stored = await passwords.hash_new(KNOWN)
    asked = [passwords.verify(each, word) for each in (stored, None) for word in (KNOWN, WRONG)]
    answers = await asyncio.gather(*asked, *(passwords.verify(stored, KNOWN) for _ in range(16)))
    assert answers == [True, False, False, False] + [True] * 16
    assert len(set(threading.enumerate()) - before) == 2

"""What is hashed, and hashing under load: it leaves room for everything else."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from app.auth.errors import GuessablePassword
from app.auth.passwords import Passwords, demand_unguessable
from app.core.passwords import EXAMPLE

KNOWN, WRONG = "steep lantern mosaic thaw", "steep lantern mosaic thud"
COMPOSED, DECOMPOSED, WIDE = (
    "Bl\u00fce-Kettle-73-moss",
    "Blu\u0308e-Kettle-73-moss",
    "Bl\u00fce-Kettle-\uff17\uff13-moss",
)


async def test_of_many_at_once_two_are_worked_on_in_threads_of_their_own() -> None:
    passwords = Passwords()
    before = set(threading.enumerate())
    stored = await passwords.hash_new(KNOWN)
    asked = [passwords.verify(each, word) for each in (stored, None) for word in (KNOWN, WRONG)]
    answers = await asyncio.gather(*asked, *(passwords.verify(stored, KNOWN) for _ in range(16)))
    assert answers == [True, False, False, False] + [True] * 16
    assert len(set(threading.enumerate()) - before) == 2


class TestSpelling:
    @pytest.mark.parametrize("made", [COMPOSED, DECOMPOSED, WIDE])
    async def test_is_the_keyboard_s_and_not_the_password_s(self, made: str) -> None:
        passwords = Passwords()
        stored = await passwords.hash_new(made)
        assert [await passwords.verify(stored, given) for given in (COMPOSED, DECOMPOSED, WIDE)] == [True] * 3
        assert not await passwords.verify(stored, COMPOSED.replace("\u00fc", "u"))

    @pytest.mark.parametrize("kept", [DECOMPOSED, WIDE])
    async def test_of_what_was_hashed_before_it_was_normalised_still_lets_in(self, kept: str) -> None:
        passwords = Passwords()
        stored = PasswordHasher(1, 8, 1).hash(kept)
        assert await passwords.verify(stored, kept)
        assert not await passwords.verify(stored, COMPOSED)
        assert not await passwords.verify(None, kept)


class TestPublished:
    @pytest.mark.parametrize(
        "password",
        [EXAMPLE, EXAMPLE.title(), EXAMPLE.replace(" ", "-") + "!", EXAMPLE.replace(" ", ""), "in" + EXAMPLE],
    )
    def test_is_no_new_one(self, password: str) -> None:
        with pytest.raises(GuessablePassword):
            demand_unguessable(password)

    def test_with_words_of_one_s_own_it_is(self) -> None:
        demand_unguessable(EXAMPLE + " moonlit kettle")

"""kill -9 as planned: what dies, in which order and when is drawn before anything runs, so the seed alone decides it.

plan = planned(draw, database=4, server=2)
killing = Killing(product)
…
killing.strike(plan[0])
await killing.mend()
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.support.counts import Counts
from tests.support.served import ServedProduct

SHOWN = 24  # kills that are written out; the digest is of all


class Victim(StrEnum):
    DATABASE = "database"
    SERVER = "server"
    BOTH = "both"


@dataclass(frozen=True)
class Kill:
    """`at`: how far into what it falls, from 0 to 1 (of a pause, of a round's answers)."""

    victim: Victim
    at: float


def planned(draw: random.Random, *, database: int, server: int, both: int = 0) -> list[Kill]:
    victims = [Victim.DATABASE] * database + [Victim.SERVER] * server + [Victim.BOTH] * both
    draw.shuffle(victims)
    return [Kill(victim, draw.random()) for victim in victims]


def schedule(plan: Sequence[object], victims: Sequence[Victim]) -> str:
    """What a second run with the seed must show again: the victims' initials, and a digest of all that was drawn."""
    initials = "".join(victim[0] for victim in victims[:SHOWN]) + "…" * (len(victims) > SHOWN)
    return f"{initials} {hashlib.sha256(repr(plan).encode()).hexdigest()[:12]}"


class Killing:
    """Carries kills out, and keeps what it did."""

    def __init__(self, product: ServedProduct) -> None:
        self._product = product
        self.done: list[Victim] = []
        self.recoveries: list[float] = []

    def strike(self, kill: Kill) -> None:
        """The victim is dead when this returns."""
        if kill.victim is not Victim.DATABASE:
            self._product.kill()
        if kill.victim is not Victim.SERVER:
            self._product.kill_database()
        self.done.append(kill.victim)

    async def mend(self) -> None:
        """Ready again; a database comes back by itself where its server lives."""
        if self.done[-1] is not Victim.DATABASE:
            self._product.start()
        self.recoveries.append(await asyncio.to_thread(self._product.wait_until_ready))

    def count(self, counts: Counts, plan: Sequence[object], victims: Sequence[Victim]) -> None:
        """The schedule as it was planned, and that it was carried out so."""
        counts.note("schedule", schedule(plan, victims))
        counts.holds("carried out as planned", is_so=self.done == [*victims])
        kinds = Counter(self.done)
        counts.note("kills", ", ".join(f"{kinds[victim]} {victim}" for victim in Victim if kinds[victim]))
        middle = sorted(self.recoveries)[len(self.recoveries) // 2]
        counts.note("ready again after", f"{middle:.2f} s, at most {max(self.recoveries):.2f} s")

"""Parts of one model side by side: its segments, or its versions, each summed over a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from app.stats.sparse import core_only
from app.tracking.ledger import Ledger
from app.tracking.rollups.grains import DAYS, EVERYTHING, HOURS, MINUTES, TOTAL, Contexts, Cut, Rows, answer

Part = tuple[int, int, int]  # grain, from minute, to minute
EVERY_COHORT = (TOTAL, 0, 1)


class By(StrEnum):
    SEGMENT = "segment"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Slicing:
    """`numbers` are the segments wanted (of `version_no`; None: of all), or the versions wanted (of `segment_no`)."""

    by: By
    numbers: tuple[int, ...]
    version_no: int | None = None
    segment_no: int = EVERYTHING

    def fresh(self, ledger: Ledger, contexts: Contexts, span: Cut, known_below: int | None = None) -> list[Rows]:
        """What a ledger adds, by number; `span` says from when on, and in which buckets."""
        if not len(ledger):
            return []
        return [self._added(number, ledger, contexts, span, known_below) for number in self.numbers]

    def _added(self, number: int, ledger: Ledger, contexts: Contexts, span: Cut, known_below: int | None) -> Rows:
        version_no, segment_no = (self.version_no, number) if self.by is By.SEGMENT else (number, self.segment_no)
        cut = Cut(span.grain_s, span.from_minute, span.to_minute, version_no, segment_no)
        rows = answer(ledger, contexts, cut, known_below=known_below)
        return Rows((np.full(len(rows), number, np.int64),), rows.sparse)


def parts_of(span: Cut) -> list[Part]:
    """A span as whole days between hours at both ends; minutes as they are."""
    low, high = span.bounds()
    if span.grain_s == MINUTES:
        return [(MINUTES, low, high)]
    day = DAYS // 60
    first, last = -(-low // day) * day, high // day * day
    if first >= last:
        return [(HOURS, low, high)]
    return [(HOURS, low, first), (DAYS, first, last), (HOURS, last, high)]


def counts_only(parts: Sequence[Rows]) -> list[Rows]:
    return [Rows(rows.keys, core_only(rows.sparse)) for rows in parts]

"""Erasing by prediction ids: what is stored under them is gathered as if it were one subject's.

Where clients send no `subject`, predictions are named. Their places are noted under a subject that is drawn for it, so
the job is that of a subject: it knows no id, and killed at any point, it goes on where it stopped.

A label that waits under such an id has no place, only its key. It goes here and now, and its key is remembered as
erased, so that neither the label nor its prediction is taken should they come. The job's result counts it from its
beginning on, so one that is cancelled says so; the places it noted go with their rows, by whatever these go.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.core.clock import Clock
from app.models.facts import ModelFacts
from app.tracking.batch import Text
from app.tracking.digests import SIZE, key_digest
from app.tracking.erasing import repository
from app.tracking.repository import arrivals, labels, predictions
from app.tracking.storing.keys import encode


@dataclass(frozen=True, slots=True)
class Gathered:
    """`subject` (a digest that no name has) holds the rows; of each of the `ids`, exactly one of the three is true.

    It is so again at the job's end: rows that another takes meanwhile are unknown then.
    """

    subject: bytes
    rows: int
    waiting_labels: int  # gone already
    unknown: int  # nothing is stored under the id: never was, or was erased or past retention

    @property
    def ids(self) -> int:
        return self.rows + self.waiting_labels + self.unknown


async def gather(connection: Any, clock: Clock, facts: ModelFacts, ids: Sequence[str]) -> Gathered:
    """In the caller's transaction, which begins the job."""
    keys = _keys(facts.id, ids)
    waiting = await repository.lock_stubs(connection, keys)  # first: what they become meanwhile has a place, below
    places = await repository.places_under(connection, keys)
    subject = os.urandom(SIZE)
    await predictions.add_subjects(connection, facts.id, [subject] * len(places), places)
    if waiting:
        await _forget(connection, clock, facts, waiting)
    return Gathered(subject, len(places), len(waiting), len(keys) - len(places) - len(waiting))


async def _forget(connection: Any, clock: Clock, facts: ModelFacts, waiting: Sequence[bytes]) -> None:
    await labels.join_now(connection, waiting)
    await predictions.drop_stubs(connection, waiting)
    secret = await predictions.subject_secret(connection)
    digests = [key_digest(secret, key) for key in waiting]
    arrival = await arrivals.arrive(connection, clock)  # retention goes by places: one that no row has
    await repository.remember(connection, facts.id, digests, [arrival.first_place] * len(waiting))


def _keys(model_no: int, ids: Sequence[str]) -> list[bytes]:
    """Each once, in key order."""
    encoded = [each.encode() for each in dict.fromkeys(ids)]
    offsets = np.cumsum([0, *map(len, encoded)])
    return encode(model_no, Text(b"".join(encoded), offsets)).tolist()

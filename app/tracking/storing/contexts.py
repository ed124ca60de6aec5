"""Rows → contexts: one number for a version together with its segments, under which a row is counted.

A model's dictionaries only grow: a value or combination keeps its number for ever, so what a process has once read
stays right, and a row keeps the context that it got even if a cap is raised later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking.batch import OTHER, Coded
from app.tracking.checked import CheckedPredictions
from app.tracking.errors import TooManySegmentKeys
from app.tracking.repository import contexts as repository

MAX_KEYS = 32  # a row has at most 8; over its life a model may drop keys and take up others
MAX_CONTEXTS = 100_000

Combination = tuple[int, tuple[int, ...]]  # version_no, ascending segment_nos


@dataclass(slots=True)
class Dictionary:
    """What one model's segments and combinations are called."""

    segments: dict[str, dict[str, int]] = field(default_factory=dict)  # key -> value -> segment_no
    contexts: dict[Combination, int] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)  # segment_no -> key
    last_segment: int = 0
    last_context: int = 0

    def segment(self, key: str, value: str, cap: int) -> int | None:
        """The number under which a value counts; None where it has to be asked for."""
        known = self.segments.get(key, {})
        found = known.get(value)
        if found is None and len(known) - (OTHER in known) >= cap:
            return known.get(OTHER)
        return found

    def add_segment(self, segment_no: int, key: str, value: str) -> None:
        self.segments.setdefault(key, {})[value] = segment_no
        self.keys[segment_no] = key
        self.last_segment = max(self.last_segment, segment_no)

    def add_context(self, context_id: int, version_no: int, segment_nos: list[int]) -> None:
        self.contexts[version_no, tuple(segment_nos)] = context_id
        self.last_context = max(self.last_context, context_id)

    def coarser(self, combination: Combination) -> Combination | None:
        """The same with the key of most values set to `__other__`; None where every key is."""
        version_no, segment_nos = combination
        fine = [number for number in segment_nos if self.segments[self.keys[number]].get(OTHER) != number]
        if not fine:
            return None
        worst = max(fine, key=lambda number: (len(self.segments[self.keys[number]]), number))
        other = self.segments[self.keys[worst]][OTHER]
        return version_no, tuple(sorted({*segment_nos} - {worst} | {other}))


class Contexts:
    """One per process. Extends the dictionaries in short transactions of their own, before the rows are stored.

    So a value is known to all before a row uses it, and no rolled-back batch leaves a number that only this process
    believes in. A number that no row uses in the end does no harm.
    """

    def __init__(self, database: Database, values_per_key: int) -> None:
        self._database = database
        self._cap = values_per_key
        self._known: dict[int, Dictionary] = {}

    async def resolve(self, facts: ModelFacts, batch: CheckedPredictions) -> NDArray[np.int32]:
        """The context_id of each row. Raises `TooManySegmentKeys`."""
        known = self._known.setdefault(facts.id, Dictionary())
        tables = {key: _used(column) for key, column in batch.segments.items()}
        unknown = _unknown(known, tables, self._cap)
        if unknown:
            await self._learn_segments(facts.id, known, tables)
        combinations, place = _combinations(known, batch, tables, self._cap)
        if any(combination not in known.contexts for combination in combinations):
            await self._learn_contexts(facts.id, known, combinations)
        ids = np.array([known.contexts[combination] for combination in combinations], np.int32)
        return ids[place] if len(ids) > 1 else np.full(len(batch), ids[0], np.int32)

    async def segments(self, model_no: int) -> dict[str, list[str]]:
        """The values of every key in the order in which they were first seen; `__other__` where the cap was reached."""
        async with self._database.transaction(snapshot=True) as connection:
            found: dict[str, list[str]] = {}
            for _, key, value in await repository.segments(connection, model_no):
                found.setdefault(key, []).append(value)
        return {
            key: [value for value in values if value != OTHER or len(values) > self._cap]
            for key, values in found.items()
        }

    async def _learn_segments(self, model_no: int, known: Dictionary, tables: Mapping[str, list[str]]) -> None:
        async with self._database.transaction() as connection:
            await repository.lock(connection, model_no)
            for row in await repository.segments(connection, model_no, known.last_segment):
                known.add_segment(*row)
            wanted = _wanted(known, tables, self._cap)
            if wanted:
                await repository.add_segments(connection, model_no, wanted)
            learnt = await repository.segments(connection, model_no, known.last_segment)
        for row in learnt:
            known.add_segment(*row)

    async def _learn_contexts(self, model_no: int, known: Dictionary, combinations: list[Combination]) -> None:
        """Combinations past the cap are told apart less finely."""
        async with self._database.transaction() as connection:
            await repository.lock(connection, model_no)
            for row in await repository.contexts(connection, model_no, known.last_context):
                known.add_context(*row)
            stands_for = _within_cap(known, [wanted for wanted in combinations if wanted not in known.contexts])
            fresh = [found for found in dict.fromkeys(stands_for.values()) if found not in known.contexts]
            if fresh:
                await repository.add_contexts(connection, model_no, fresh)
            learnt = await repository.contexts(connection, model_no, known.last_context)
        for row in learnt:
            known.add_context(*row)
        for wanted, found in stands_for.items():
            known.contexts[wanted] = known.contexts[found]


def _used(column: Coded) -> list[str]:
    """The values that rows have; others may have come along with a dictionary that many batches share."""
    codes = np.unique(column.codes)
    return [column.values[code] for code in codes[codes >= 0]]


def _unknown(known: Dictionary, tables: Mapping[str, list[str]], cap: int) -> bool:
    return any(known.segment(key, value, cap) is None for key, values in tables.items() for value in values)


def _wanted(known: Dictionary, tables: Mapping[str, list[str]], cap: int) -> list[tuple[str, str]]:
    """What has to be added so that every value has a number; each key gets its `__other__` with its first value."""
    fresh = [key for key in tables if key not in known.segments]
    if len(known.segments) + len(fresh) > MAX_KEYS:
        raise TooManySegmentKeys(f"{fresh[0]} would be one more than the {MAX_KEYS} segment keys that a model can have")
    added = [(key, OTHER) for key in fresh]
    for key, values in tables.items():
        room = cap - len(known.segments.get(key, {OTHER: 0})) + 1
        added += [(key, value) for value in values if known.segment(key, value, cap) is None and value != OTHER][:room]
    return added


def _combinations(
    known: Dictionary, batch: CheckedPredictions, tables: Mapping[str, list[str]], cap: int
) -> tuple[list[Combination], NDArray[np.intp]]:
    """The distinct combinations of a batch, and which one each row has."""
    versions, versioned = _dense(batch.version_no)
    code = versioned.astype(np.int64)
    columns = []
    for key, column in batch.segments.items():
        numbers = np.zeros(len(column.values) + 1, np.int64)  # 0, at the end: a row without the key
        used = {*tables[key]}
        for at, value in enumerate(column.values):
            numbers[at] = (known.segment(key, value, cap) or 0) if value in used else 0
        distinct, local = np.unique(numbers, return_inverse=True)
        code = code * len(distinct) + local[column.codes]  # at most 66 a key: eight keys stay far below 2^63
        columns.append(numbers[column.codes])
    if not columns and len(versions) == 1:
        return [(int(versions[0]), ())], code
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    named = [
        (int(batch.version_no[row]), tuple(sorted({int(column[row]) for column in columns} - {0}))) for row in first
    ]
    return named, place


def _dense(values: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    if (values == values[0]).all():
        return values[:1], np.zeros(len(values), np.intp)
    distinct, place = np.unique(values, return_inverse=True)
    return distinct, place


def _within_cap(known: Dictionary, wanted: list[Combination]) -> dict[Combination, Combination]:
    """What each combination is kept as: itself while there is room."""
    kept: dict[Combination, Combination] = {}
    for combination in wanted:
        found: Combination | None = combination
        while found is not None and found not in known.contexts and len(known.contexts) + len(kept) >= MAX_CONTEXTS:
            kept[combination] = found
            found = known.coarser(found)
        if found is not None:
            kept[combination] = found
    return kept

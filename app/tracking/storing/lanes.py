"""The groups of one kind of rows, a group for each model, and what its flush does."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from app.models.facts import ModelFacts
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.schemas import LabelsStored, PredictionsStored
from app.tracking.storing.group import Backlog, Group
from app.tracking.storing.merging import kind

SECOND_FLUSHER_ROWS = 256  # single rows of even a hundred clients stay below: they share one flush

Checked = TypeVar("Checked", CheckedPredictions, CheckedLabels)
Stored = TypeVar("Stored", PredictionsStored, LabelsStored)


class Lanes(Generic[Checked, Stored]):
    """Where checked rows line up for `store`; `stored` is called after every commit."""

    def __init__(
        self,
        store: Callable[[ModelFacts, Sequence[Checked]], Awaitable[list[Stored]]],
        backlog: Backlog,
        transactions: asyncio.Semaphore,
        stored: Callable[[], None],
        rows: int,
    ) -> None:
        """`transactions` bounds how many run at once over all models; at most `rows` share one."""
        self._store: Callable[[ModelFacts, Sequence[Checked]], Awaitable[list[Stored]]] = store
        self._backlog = backlog
        self._transactions = transactions
        self._stored = stored
        self._rows = rows
        self._groups: dict[int, Group[tuple[ModelFacts, Checked], Stored]] = {}

    async def submit(self, facts: ModelFacts, checked: Checked) -> Stored:
        group = self._groups.get(facts.id)
        if group is None:
            group = Group(self._flush, self._backlog, rows=self._rows, second_from=SECOND_FLUSHER_ROWS)
            self._groups[facts.id] = group
        return await group.submit((facts, checked), len(checked))

    async def drain(self) -> None:
        """Returns when every group is empty."""
        for group in [*self._groups.values()]:
            await group.drain()

    async def _flush(self, items: Sequence[tuple[ModelFacts, Checked]]) -> list[Stored | Exception]:
        """Facts only grow, so the newest know what every item of the group needs."""
        facts = max((facts for facts, _ in items), key=lambda facts: facts.revision)
        answers: dict[int, Stored | Exception] = {}
        for mine in _alike([checked for _, checked in items]):
            async with self._transactions:
                answers.update(zip(mine, await self._store_all(facts, [items[i][1] for i in mine]), strict=True))
        self._stored()
        return [answers[i] for i in range(len(items))]

    async def _store_all(self, facts: ModelFacts, batches: Sequence[Checked]) -> Sequence[Stored | Exception]:
        """What one transaction of the group meets is no answer to the others."""
        try:
            return await self._store(facts, batches)
        except Exception as error:
            return [error] * len(batches)


def _alike(batches: Sequence[CheckedPredictions] | Sequence[CheckedLabels]) -> list[list[int]]:
    """The numbers of those that can be merged, in order of arrival."""
    if len(batches) == 1:
        return [[0]]
    kinds = [kind(batch) for batch in batches]
    first = {found: number for number, found in reversed([*enumerate(kinds)])}
    ordered = sorted(range(len(batches)), key=lambda number: first[kinds[number]])
    return [[*group] for _, group in itertools.groupby(ordered, key=lambda number: kinds[number])]

"""The groups of one kind of rows, a group for each model, and what its flush does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

from app.models.facts import ModelFacts
from app.tracking.checked import CheckedLabels
from app.tracking.schemas import LabelsStored, PredictionsStored
from app.tracking.storing.group import Backlog, Group
from app.tracking.storing.merging import Part, Predictions, kind

SECOND_FLUSHER_ROWS = 256  # single rows of even a hundred clients stay below: they share one flush

Item = TypeVar("Item", bound=Sized)
Checked = TypeVar("Checked", Predictions, CheckedLabels)
Stored = TypeVar("Stored", PredictionsStored, LabelsStored)
Ready = Callable[[Sequence[tuple[ModelFacts, Item]]], Awaitable[Sequence[tuple[ModelFacts, Checked] | Exception]]]


class Lanes(Generic[Item, Checked, Stored]):
    """Where rows line up; a flush makes them `ready` and hands them to `store`. `stored` is called after every commit.

    `ready` says of each item what facts know its rows, and the rows, checked; or why it is refused.
    """

    def __init__(
        self,
        ready: Ready[Item, Checked],
        store: Callable[[ModelFacts, Sequence[Checked]], Awaitable[list[Stored]]],
        backlog: Backlog,
        transactions: asyncio.Semaphore,
        stored: Callable[[], None],
        rows: int,
    ) -> None:
        """`transactions` bounds how many run at once over all models; at most `rows` share one."""
        self._ready: Ready[Item, Checked] = ready
        self._store: Callable[[ModelFacts, Sequence[Checked]], Awaitable[list[Stored]]] = store
        self._backlog = backlog
        self._transactions = transactions
        self._stored = stored
        self._rows = rows
        self._groups: dict[int, Group[tuple[ModelFacts, Item], Stored]] = {}

    async def submit(self, facts: ModelFacts, item: Item) -> Stored:
        group = self._groups.get(facts.id)
        if group is None:
            group = Group(self._flush, self._backlog, rows=self._rows, second_from=SECOND_FLUSHER_ROWS)
            self._groups[facts.id] = group
        return await group.submit((facts, item), len(item))

    async def drain(self) -> None:
        """Returns when every group is empty."""
        for group in [*self._groups.values()]:
            await group.drain()

    async def _flush(self, items: Sequence[tuple[ModelFacts, Item]]) -> list[Stored | Exception]:
        """Facts only grow, so the newest know what every item of the group needs."""
        answers: dict[int, Stored | Exception] = {}
        ready: dict[int, tuple[ModelFacts, Checked]] = {}
        for number, found in enumerate(await self._ready(items)):
            if isinstance(found, Exception):
                answers[number] = found
            else:
                ready[number] = found
        if ready:
            facts = max((facts for facts, _ in ready.values()), key=lambda facts: facts.revision)
            for mine in _alike({number: checked for number, (_, checked) in ready.items()}):
                async with self._transactions:
                    stored = await self._store_all(facts, [ready[number][1] for number in mine])
                answers.update(zip(mine, stored, strict=True))
            self._stored()
        return [answers[number] for number in range(len(items))]

    async def _store_all(self, facts: ModelFacts, batches: Sequence[Checked]) -> Sequence[Stored | Exception]:
        """What one transaction of the group meets is no answer to the others."""
        try:
            return await self._store(facts, batches)
        except Exception as error:
            return [error] * len(batches)


def _alike(batches: Mapping[int, Predictions | CheckedLabels]) -> list[list[int]]:
    """The numbers of those that can be merged, in order of arrival."""
    if len({id(batch.whole) if isinstance(batch, Part) else number for number, batch in batches.items()}) == 1:
        return [[*batches]]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, batch in batches.items():
        groups.setdefault(kind(batch), []).append(number)
    return [*groups.values()]

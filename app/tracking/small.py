"""Small requests that share a flush are read together; where that fails each alone, so an error is its sender's."""

from collections.abc import Sequence
from functools import partial

from app.core.compute import beside
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.checked import CheckedPredictions
from app.tracking.decoding.decode import JSON
from app.tracking.decoding.intake import PREDICTIONS
from app.tracking.decoding.together import Unread, read_together
from app.tracking.storing.contexts import Contexts
from app.tracking.storing.merging import Predictions, parts

LOOP_ROWS = 1000  # reading so many takes under 2 ms

Item = tuple[ModelFacts, Predictions | Unread]
Ready = tuple[ModelFacts, Predictions] | Exception


class SmallRequests:
    """Makes what lines up for a flush ready to be stored."""

    def __init__(self, catalogue: Catalogue, contexts: Contexts, max_rows: int) -> None:
        self._catalogue = catalogue
        self._contexts = contexts
        self._max_rows = max_rows

    async def ready(self, items: Sequence[Item]) -> list[Ready]:
        """Each item's rows, checked, and the facts that know them; or what is wrong with that request."""
        unread = [(facts, item) for facts, item in items if isinstance(item, Unread)]
        if not unread:
            return [(facts, item) for facts, item in items if not isinstance(item, Unread)]
        found = await self._together(unread) or [await self._alone(facts, request) for facts, request in unread]
        read = iter(found)
        return [next(read) if isinstance(item, Unread) else (facts, item) for facts, item in items]

    async def _together(self, unread: Sequence[tuple[ModelFacts, Unread]]) -> list[Ready]:
        """Empty where they can't be read together."""
        facts = max((facts for facts, _ in unread), key=lambda facts: facts.revision)
        requests = [request for _, request in unread]
        sizes = [len(request) for request in requests]
        try:
            whole = await beside(sum(sizes), partial(read_together, requests, facts), limit=LOOP_ROWS)
            if whole is None:
                return []
            if whole.segments:
                await self._contexts.resolve(facts, whole)
        except Exception:  # whatever it is, it happens again to the request that it belongs to, and to no other
            return []
        return [(facts, part) for part in parts(whole, sizes)]

    async def _alone(self, facts: ModelFacts, request: Unread) -> Ready:
        now_us = request.now_us
        try:
            batch = await PREDICTIONS.read(
                request.body, JSON, facts, now_us=now_us, max_rows=self._max_rows, imported=False
            )  # fmt: skip
            facts, checked = await PREDICTIONS.admit(batch, facts, self._catalogue, now_us=now_us)
            await self.resolve(facts, checked)
        except Exception as error:
            return error
        return facts, checked

    async def resolve(self, facts: ModelFacts, checked: CheckedPredictions) -> None:
        """Segments are looked up before a transaction is shared: a refusal is this request's alone."""
        if checked.segments:
            await self._contexts.resolve(facts, checked)

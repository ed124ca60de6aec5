"""The end of a process: what was taken in is stored, also where nobody waits for the answer any more."""

import asyncio
from typing import Any

import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.tracking.service import TrackingService
from app.tracking.storing.predictions import PredictionStore
from tests.support.models import make_model
from tests.support.tracking import rows_of, send, tracking


class TestTheEnd:
    async def test_waits_for_rows_whose_sender_has_left(
        self, database: Database, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await make_model(database)
        begun, store = asyncio.Event(), PredictionStore.store

        async def slowly(*arguments: Any) -> Any:
            begun.set()
            await asyncio.sleep(0.05)
            return await store(*arguments)

        monkeypatch.setattr(PredictionStore, "store", slowly)
        service = tracking(database, clock)
        sender = asyncio.create_task(send(service, {"prediction_id": "a", "score": 0.5}))
        await begun.wait()
        sender.cancel()
        await service.drain()
        assert await rows_of(database, "prediction") == 1

    async def test_of_the_application_drains_tracking(self, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        drained = []

        async def drain(service: TrackingService) -> None:
            drained.append(service)

        monkeypatch.setattr(TrackingService, "drain", drain)
        async with app.router.lifespan_context(app):
            assert drained == []
        assert drained == [app.state.services[TrackingService]]

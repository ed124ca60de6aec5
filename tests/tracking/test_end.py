"""The end of a process: what was taken in is stored, also where nobody waits for the answer any more."""

import asyncio
from typing import Any

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.tracking.service import TrackingService
from tests.support.models import make_model
from tests.support.tracking import rows_of, tracking


class TestTheEnd:
    async def test_waits_for_rows_whose_sender_has_left(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        service = tracking(database, clock)
        body = b'{"predictions": [{"prediction_id": "a", "score": 0.5}]}'
        sender = asyncio.create_task(service.store_predictions("m1", body, "application/json"))
        for _ in range(1000):  # until its transaction is under way
            await asyncio.sleep(0)
            if any(group._flushers for group in service._predictions._groups.values()):
                break
        await asyncio.sleep(0)
        sender.cancel()
        await service.drain()
        assert await rows_of(database, "prediction") == 1

    async def test_of_the_application_drains_tracking(self, app: Any, monkeypatch: Any) -> None:
        drained = []

        async def drain(service: TrackingService) -> None:
            drained.append(service)

        monkeypatch.setattr(TrackingService, "drain", drain)
        async with app.router.lifespan_context(app):
            assert drained == []
        assert drained == [app.state.services[TrackingService]]

"""The stream: what is committed is told, to those who may hear it, until the end."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from app.analytics import feed as feeds
from app.analytics.errors import StreamsExhausted
from app.analytics.feed import Feed
from app.core.clock import FrozenClock
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from tests.support.models import make_model
from tests.support.tracked import track

PATIENCE_S = 5.0


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    made, stop = Feed(database, Catalogue(database)), asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    await asyncio.wait_for(made.listening.wait(), PATIENCE_S)
    yield made
    stop.set()
    await running


async def change(database: Database, clock: FrozenClock, facts: ModelFacts) -> None:
    one = np.ones(1)
    await track(
        database,
        clock,
        facts,
        predicted_at=np.array([clock.now_us()]),
        predicted=one.astype(int),
        score=one,
        actual=one,
        known_at=np.array([clock.now_us()]),
    )


async def begun(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Past the first line, which only tells the client when to come again."""
    assert await anext(events) == b"retry: 1000\n\n"
    return events


async def heard(events: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(events), PATIENCE_S)


class TestFollowers:
    async def test_hear_of_a_model_once_its_rows_are_folded(
        self, feed: Feed, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database, "m1")
        events = await begun(feed.events(None))
        waiting = asyncio.ensure_future(heard(events))
        await asyncio.sleep(0)
        await change(database, clock, facts)
        assert await waiting == b'event: rollups\ndata: {"models":["m1"]}\n\n'

    async def test_hear_of_a_new_model_once_the_database_is_back(
        self, feed: Feed, database: Database, clock: FrozenClock
    ) -> None:
        events = await begun(feed.events(None))
        waiting = asyncio.ensure_future(heard(events))
        await asyncio.sleep(0)
        facts = await make_model(database, "m1")
        await change(database, clock, facts)
        database.give_up()
        assert await waiting == b": -\n\n"
        database.heard()
        assert await heard(events) == b'event: rollups\ndata: {"models":["m1"]}\n\n'

    async def test_hear_only_of_models_that_they_may_see(
        self, feed: Feed, database: Database, clock: FrozenClock
    ) -> None:
        events = await begun(feed.events(("mine",)))
        waiting = asyncio.ensure_future(heard(events))
        await asyncio.sleep(0)
        await change(database, clock, await make_model(database, "theirs"))
        assert await waiting == b": -\n\n"

    async def test_that_are_slow_are_told_once_of_many_changes(
        self, feed: Feed, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database, "m1")
        events = await begun(feed.events(None))
        for _ in range(3):
            await change(database, clock, facts)
        assert await heard(events) == b'event: rollups\ndata: {"models":["m1"]}\n\n'

    async def test_get_heartbeats_in_between(self, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feeds, "HEARTBEAT_S", 0.02)
        assert await heard(await begun(feed.events(None))) == b": heartbeat\n\n"

    async def test_beyond_the_limit_are_refused_at_once(self, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feeds, "MAX_FOLLOWERS", 1)
        first = await begun(feed.events(None))
        with pytest.raises(StreamsExhausted):
            feed.events(None)
        await first.aclose()  # type: ignore[attr-defined]
        await begun(feed.events(None))

    async def test_of_a_burst_count_before_their_streams_begin(
        self, feed: Feed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feeds, "MAX_FOLLOWERS", 2)
        burst = [feed.events(None), feed.events(None)]
        with pytest.raises(StreamsExhausted):
            feed.events(None)
        burst.pop()  # left before a word was sent
        await begun(feed.events(None))

    async def test_are_sent_home_at_the_end(self, feed: Feed) -> None:
        events = await begun(feed.events(None))
        waiting = asyncio.ensure_future(asyncio.wait_for(_rest(events), PATIENCE_S))
        await asyncio.sleep(0)
        feed.close()
        assert len(await waiting) <= 1


async def _rest(events: AsyncIterator[bytes]) -> list[bytes]:
    return [event async for event in events]

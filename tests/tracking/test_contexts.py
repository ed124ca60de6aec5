"""Segments and contexts: capped, the same in every process, never renumbered."""

import asyncio
from typing import Any

import numpy as np
import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.tracking.errors import TooManySegmentKeys
from app.tracking.storing import contexts
from app.tracking.storing.contexts import OTHER, Contexts
from tests.support.models import make_model
from tests.support.tracking import agree, send, totals, tracking


def row(name: str, **segment: Any) -> dict[str, Any]:
    return {"prediction_id": name, "score": 0.7, "segment": segment}


async def named(database: Database) -> list[tuple[str, ...]]:
    """The segments of each prediction, in order of ids."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "select array(select dimension || ':' || value from segment where segment_no = any (c.segment_nos)"
            " order by 1) from prediction p join context c using (context_id) order by key"
        )
    return [tuple(found[0]) for found in rows]


async def test_rows_without_segments_share_one_context(database: Database, clock: FrozenClock) -> None:
    await make_model(database)
    await send(tracking(database, clock), row("a"), row("b"))
    assert await named(database) == [(), ()]


async def test_versions_and_values_are_told_apart(database: Database, clock: FrozenClock) -> None:
    facts = await make_model(database, versions=("1", "2"))
    service = tracking(database, clock)
    rows = [row("a", channel="web"), row("b", channel="app", tier="x") | {"version": "1"}, row("c", tier="x"), row("d")]
    await send(service, *rows)
    assert await named(database) == [("channel:web",), ("channel:app", "tier:x"), ("tier:x",), ()]
    listed = await service.segments("m1")
    assert [(found.key, found.values) for found in listed.segments] == [("channel", ["web", "app"]), ("tier", ["x"])]
    await agree(database, facts)


async def test_values_beyond_the_cap_count_as_other(database: Database, clock: FrozenClock) -> None:
    facts = await make_model(database)
    service = tracking(database, clock, values_per_segment=2)
    await send(service, *(row(name, city=name) for name in "abc"))
    await send(service, row("d", city="d"), row("e", city="a"))
    other = (f"city:{OTHER}",)
    assert await named(database) == [("city:a",), ("city:b",), other, other, ("city:a",)]
    assert (await service.segments("m1")).segments[0].values == [OTHER, "a", "b"]
    assert (await service.prediction("m1", "d")).segment == {"city": "d"}, "the row keeps what was sent"
    assert (await totals(database, facts)).n.tolist() == [5]


async def test_a_repeat_is_a_duplicate_although_its_value_counts_as_other(
    database: Database, clock: FrozenClock
) -> None:
    await make_model(database)
    service = tracking(database, clock, values_per_segment=1)
    await send(service, row("a", city="x"), row("b", city="y"))
    assert (await send(service, row("b", city="y"))).duplicates == 1
    assert len((await send(service, row("b", city="z"))).conflicts) == 1


async def test_processes_agree_and_the_cap_holds_for_all(database: Database, clock: FrozenClock) -> None:
    facts = await make_model(database)
    services = [tracking(database, clock, values_per_segment=5) for _ in range(4)]
    sends = [send(services[n % 4], row(f"{n:02d}", city=str(n % 10), tier=str(n % 3))) for n in range(40)]
    await asyncio.gather(*sends)
    async with database.transaction() as connection:
        counts = await connection.fetch("select dimension, count(*) from segment group by 1 order by 1")
    assert [tuple(found) for found in counts] == [("city", 6), ("tier", 4)]
    assert len({found for found in await named(database) if f"city:{OTHER}" not in found[0]}) <= 15
    await agree(database, facts)


async def test_a_model_has_only_so_many_keys(database: Database, clock: FrozenClock) -> None:
    await make_model(database)
    service = tracking(database, clock)
    for number in range(contexts.MAX_KEYS):
        await send(service, row(f"a{number}", **{f"k{number}": "x"}))
    good, bad = send(service, row("good")), send(service, row("bad", one_more="x"))
    answers = await asyncio.gather(good, bad, return_exceptions=True)
    assert answers[0].accepted == 1, "the neighbour in the group is not touched"
    assert isinstance(answers[1], TooManySegmentKeys)


async def test_combinations_beyond_the_cap_lose_their_finest_key(
    database: Database, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "MAX_CONTEXTS", 3)
    facts = await make_model(database)
    service = tracking(database, clock)
    for number in range(6):
        await send(service, row(f"a{number}", city=f"c{number}", tier=f"t{number % 2}"))
    found = await named(database)
    assert found[:3] == [("city:c0", "tier:t0"), ("city:c1", "tier:t1"), ("city:c2", "tier:t0")]
    assert {place[0] for place in found[3:]} == {f"city:{OTHER}"}
    again = Contexts(database, 64)
    assert (await totals(database, facts)).n.tolist() == [6]
    assert len(await again.segments(facts.id)) == 2


def test_a_dictionary_that_others_share_names_only_what_rows_have() -> None:
    used = contexts._used(contexts.Coded(np.array([2, -1, 2], np.int32), ("a", "b", "c")))
    assert used == ["c"]

"""Small requests that share a flush: read in one pass, answered as if each had come alone."""

import asyncio
from typing import Any

import httpx

from app.db.engine import Database
from app.tracking.storing.contexts import MAX_KEYS
from tests.support.models import make_model


def row(name: str, score: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"prediction_id": name, "score": score, "features": {"amount": 1.0}, **more}


async def send(client: httpx.AsyncClient, *rows: dict[str, Any], **more: Any) -> httpx.Response:
    return await client.post("/models/m1/predictions", json={"predictions": [*rows], **more})


async def all_at_once(client: httpx.AsyncClient, *requests: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    answers = await asyncio.gather(*(send(client, *rows) for rows in requests))
    return [(answer.status_code, answer.json()) for answer in answers]


def stored(accepted: int = 0, duplicates: int = 0) -> tuple[int, dict[str, Any]]:
    return 201, {"accepted": accepted, "duplicates": duplicates, "conflicts": [], "joined_labels": 0}


class TestTogether:
    async def test_each_is_told_of_its_own_rows(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        await send(admin, row("known", 0.25))  # the model's shape is learnt from it
        answers = await all_at_once(
            admin,
            [row("a")],
            [row("b"), row("c"), row("b")],
            [row("known", 0.25)],
            [row("d"), row("known", 0.75)],
            [row("e")],
        )
        assert answers[:3] == [stored(1), stored(2, duplicates=1), stored(duplicates=1)]
        status, conflicting = answers[3]
        assert (status, conflicting["accepted"]) == (201, 1)
        assert [(found["row"], found["prediction_id"]) for found in conflicting["conflicts"]] == [(1, "known")]
        assert answers[4] == stored(1)

    async def test_what_is_wrong_with_one_is_not_the_others_business(
        self, database: Database, admin: httpx.AsyncClient
    ) -> None:
        await make_model(database)
        await send(admin, row("first"))
        answers = await all_at_once(
            admin,
            [row("a")],
            [row("b"), row("c", score=2.0)],
            [row("d", timestamp="yesterday")],
            [row("e", features={"amount": 1.0, "new": 2.0})],
            [row("f", version="no-such-version")],
            [row("g")],
        )
        assert [status for status, _ in answers] == [201, 422, 422, 201, 422, 201]
        assert [place["pointer"] for place in answers[1][1]["errors"]] == ["/predictions/1/score"]
        assert (await admin.get("/models/m1/predictions/b")).status_code == 404
        assert (await admin.get("/models/m1/predictions/g")).json()["features"] == {"amount": 1.0}

    async def test_segments_are_refused_to_the_request_that_has_too_many(
        self, database: Database, admin: httpx.AsyncClient
    ) -> None:
        await make_model(database)
        keys = [f"k{number}" for number in range(MAX_KEYS)]
        for first in range(0, MAX_KEYS, 4):
            await send(admin, row(f"first {first}", segment=dict.fromkeys(keys[first : first + 4], "x")))
        answers = await all_at_once(
            admin,
            [row("a", segment={"k0": "x"})],
            [row("b", segment={"another": "x"})],
            [row("c", segment={"k1": "y"})],
        )
        assert [status for status, _ in answers] == [201, 422, 201]

    async def test_an_import_among_them_goes_its_own_way(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        await send(admin, row("first"))
        imported, plain = await asyncio.gather(
            send(admin, row("old", timestamp="2026-01-01T00:00:00Z"), **{"import": True}), send(admin, row("new"))
        )
        assert (imported.status_code, plain.status_code) == (201, 201)
        seen = (await admin.get("/models/m1/predictions/old")).json()
        assert seen["timestamp"].startswith("2026-01-01")

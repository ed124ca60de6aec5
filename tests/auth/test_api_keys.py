"""API keys: shown once, limited, revocable."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from app.auth.authenticate import KEY_FORM
from app.auth.usage import KeyUsage
from app.core.clock import SECOND, FrozenClock, rfc3339
from app.db.engine import Database
from tests.support.http import bearer

BODY = {"name": "checkout", "scopes": ["predictions:write", "models:read"]}


class TestKeys:
    async def test_a_key_works_and_is_shown_once(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, database: Database
    ) -> None:
        made = await admin.post("/api-keys", json=BODY)
        assert made.status_code == 201
        text = made.json()["key"]
        assert KEY_FORM.fullmatch(text)
        me = (await client.get("/auth/me", headers=bearer(text))).json()
        assert (me["kind"], me["scopes"], me["role"]) == ("key", ["models:read", "predictions:write"], None)
        assert text not in (await admin.get("/api-keys")).text
        async with database.connection() as connection:
            assert text[17:].encode() not in bytes(await connection.fetchval("select digest from api_key"))

    async def test_it_may_do_what_it_was_given_and_no_more(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient
    ) -> None:
        key = bearer((await admin.post("/api-keys", json=BODY)).json()["key"])
        assert (await client.get("/models", headers=key)).status_code == 200
        refused = await client.get("/users", headers=key)
        assert refused.status_code == 403
        assert refused.json()["scope"] == "users:manage"

    async def test_other_models_are_not_there_for_a_limited_key(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient
    ) -> None:
        key = bearer((await admin.post("/api-keys", json={**BODY, "models": ["mine"]})).json()["key"])
        assert (await client.get("/models/others", headers=key)).json()["status"] == 404

    async def test_revoked_it_is_refused(self, admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
        made = (await admin.post("/api-keys", json=BODY)).json()
        key = bearer(made["key"])
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        assert (await admin.delete(f"/api-keys/{made['id']}")).status_code == 204
        assert (await client.get("/auth/me", headers=key)).status_code == 401
        assert (await admin.delete(f"/api-keys/{made['id']}")).status_code == 404

    async def test_it_ends_when_it_was_made_to(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, clock: FrozenClock
    ) -> None:
        end = rfc3339(clock.now_us() + 60 * SECOND)
        key = bearer((await admin.post("/api-keys", json={**BODY, "expires_at": end})).json()["key"])
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        clock.advance(seconds=59)
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        clock.advance(seconds=1)
        assert (await client.get("/auth/me", headers=key)).status_code == 401

    async def test_it_tells_when_it_was_last_used(
        self, app: FastAPI, admin: httpx.AsyncClient, client: httpx.AsyncClient, clock: FrozenClock
    ) -> None:
        usage: KeyUsage = app.state.services[KeyUsage]
        key = bearer((await admin.post("/api-keys", json=BODY)).json()["key"])

        async def told() -> str | None:
            await usage.write()
            last: str | None = (await admin.get("/api-keys")).json()["keys"][0]["last_used_at"]
            return last

        assert await told() is None
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        first = rfc3339(clock.now_us())
        assert await told() == first
        clock.advance(seconds=60)
        assert await told() == first
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        assert await told() == rfc3339(clock.now_us())

    async def test_uses_that_could_not_be_written_are_written_later(
        self, app: FastAPI, admin: httpx.AsyncClient, client: httpx.AsyncClient, database: Database
    ) -> None:
        usage: KeyUsage = app.state.services[KeyUsage]
        key = bearer((await admin.post("/api-keys", json=BODY)).json()["key"])
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        async with database.connection() as connection:
            await connection.execute("alter table api_key rename to elsewhere")
            with pytest.raises(DBAPIError):
                await usage.write()
            await connection.execute("alter table elsewhere rename to api_key")
            await usage.write()
            assert await connection.fetchval("select last_used_at from api_key") is not None

    async def test_a_wrong_secret_of_a_known_key_is_refused(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient
    ) -> None:
        text = (await admin.post("/api-keys", json=BODY)).json()["key"]
        wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
        assert (await client.get("/auth/me", headers=bearer(wrong))).status_code == 401

    async def test_another_process_notices_within_five_seconds(
        self, app: FastAPI, admin: httpx.AsyncClient, client: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        key = bearer((await admin.post("/api-keys", json=BODY)).json()["key"])
        assert (await client.get("/auth/me", headers=key)).status_code == 200
        async with database.connection() as connection:
            await connection.execute("update api_key set revoked_at = now()")
        clock.advance(seconds=5)
        assert (await client.get("/auth/me", headers=key)).status_code == 401

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"scopes": ["users:manage"]}, "no key manages users"),
            ({"scopes": ["nonsense"]}, "not in the table"),
            ({"scopes": []}, "good for nothing"),
            ({"models": []}, "good for nothing"),
            ({"models": ["../x"]}, "not a model's id"),
            ({"expires_at": "2026-01-01T00:00:00"}, "which time zone?"),
            ({"expires_at": "2030-01-01 00:00:00Z"}, "not RFC 3339"),
            ({"expires_at": 1893456000}, "not RFC 3339"),
            ({"expires_at": "1893456000"}, "not RFC 3339"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "it would have ended before it began"),
            ({"name": "a\nb"}, "two lines"),
            ({"digest": "x"}, "not for callers"),
        ],
    )
    async def test_refuses(self, admin: httpx.AsyncClient, change: dict[str, object], reason: str) -> None:
        assert (await admin.post("/api-keys", json={**BODY, **change})).status_code == 422, reason

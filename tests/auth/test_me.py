"""Who am I."""

import httpx


class TestMe:
    async def test_tells_the_caller_what_it_may_do(self, admin: httpx.AsyncClient) -> None:
        answer = await admin.get("/auth/me")
        assert answer.status_code == 200
        assert answer.json()["role"] == "admin"
        assert "users:manage" in answer.json()["scopes"]

    async def test_refuses_who_has_no_token(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/auth/me")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/unauthenticated"

"""Every operation that changes something leaves exactly one row in the audit, in the transaction of the change.

A new operation can't be forgotten: one that is neither tried here nor listed as changing nothing fails the first test.
"""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.scopes import SCOPES_OF, Role
from app.core.clock import FrozenClock, rfc3339
from app.db.engine import Database
from tests.house.test_routes import ENDLESS, OPERATIONS, address
from tests.support.http import PASSWORD, Identities, bearer, client_of

MUTATING = {
    f"{method} {path.removeprefix('/api/v1')}"
    for method, path, _ in OPERATIONS
    if method in {"POST", "PUT", "PATCH", "DELETE"}
}
INGEST = {"POST /models/{model_id}/predictions", "POST /models/{model_id}/labels"}
"""Too many to list, and each row is kept with its history anyway; an import is announced, see below."""

NEW_KEY = {"name": "k", "scopes": ["models:read"]}
LOG_IN = {"username": "admin@example.com", "password": "a-long-first-password"}

_numbers = itertools.count()  # every model and every user is a new one


def new_user() -> dict[str, str]:
    return {"email": f"grace-{next(_numbers)}@example.com", "password": PASSWORD, "role": "viewer"}


def set_up(model_id: str) -> dict[str, Any]:
    info = {"model_id": model_id, "model_type": "x", "version": "1", "training_data_hash": "a"}
    return {"model_info": info, "dataset_config": {}, "monitoring_config": {}}


async def _user(client: httpx.AsyncClient) -> str:
    return f"/users/{(await client.post('/users', json=new_user())).json()['id']}"


async def _key(client: httpx.AsyncClient) -> str:
    return f"/api-keys/{(await client.post('/api-keys', json=NEW_KEY)).json()['id']}"


async def _log_in(client: httpx.AsyncClient) -> dict[str, Any]:
    body: dict[str, Any] = (await client.post("/auth/token", data=LOG_IN)).json()
    return body


async def _setting_up(client: httpx.AsyncClient, model_id: str) -> httpx.Response:
    return await client.post(f"/models/{model_id}/tracking/setup", json=set_up(model_id))


async def _model(client: httpx.AsyncClient) -> str:
    model_id = f"m{next(_numbers)}"
    assert (await _setting_up(client, model_id)).status_code == 201
    return f"/models/{model_id}"


async def _aliased(client: httpx.AsyncClient) -> str:
    path = f"{await _model(client)}/aliases/mine"
    await client.put(path, json={"version": "1"})
    return path


async def _moving(client: httpx.AsyncClient, path: str) -> httpx.Response:
    tag = (await client.get(f"{path}/lifecycle/status")).headers["etag"]
    body = {"target_state": "training", "reason": "new quarter"}
    return await client.put(f"{path}/lifecycle/update", json=body, headers={"If-Match": tag})


async def _job(client: httpx.AsyncClient) -> str:
    return f"/jobs/{(await client.post(f'{await _model(client)}/recount', json={})).json()['job_id']}"


async def _archived(client: httpx.AsyncClient) -> str:
    path = await _model(client)
    await client.delete(path)
    return path


Made = Any
Prepare = Callable[[httpx.AsyncClient], Awaitable[Made]]
Act = Callable[[httpx.AsyncClient, Made], Awaitable[httpx.Response]]


async def _nothing(_: httpx.AsyncClient) -> None:
    return None


TRIED: dict[str, tuple[str, Prepare, Act]] = {
    "POST /auth/token": ("log-in.begin", _nothing, lambda c, _: c.post("/auth/token", data=LOG_IN)),
    "POST /auth/refresh": (
        "log-in.refresh",
        _log_in,
        lambda c, grant: c.post("/auth/refresh", json={"refresh_token": grant["refresh_token"]}),
    ),
    "POST /auth/logout": (
        "log-in.end",
        _log_in,
        lambda c, grant: c.post("/auth/logout", headers=bearer(grant["access_token"])),
    ),
    "POST /users": ("user.create", _nothing, lambda c, _: c.post("/users", json=new_user())),
    "PATCH /users/{user_id}": ("user.change", _user, lambda c, path: c.patch(path, json={"role": "team_lead"})),
    "POST /api-keys": ("api-key.create", _nothing, lambda c, _: c.post("/api-keys", json=NEW_KEY)),
    "DELETE /api-keys/{key_id}": ("api-key.revoke", _key, lambda c, path: c.delete(path)),
    "POST /models/{model_id}/tracking/setup": (
        "model.set-up",
        _nothing,
        lambda c, _: _setting_up(c, f"m{next(_numbers)}"),
    ),
    "POST /models/{model_id}/versions": (
        "version.register",
        _model,
        lambda c, path: c.post(f"{path}/versions", json={"version": "2"}),
    ),
    "PUT /models/{model_id}/aliases/{alias}": (
        "alias.point",
        _model,
        lambda c, path: c.put(f"{path}/aliases/mine", json={"version": "1"}),
    ),
    "DELETE /models/{model_id}/aliases/{alias}": ("alias.remove", _aliased, lambda c, path: c.delete(path)),
    "PUT /models/{model_id}/lifecycle/update": ("version.move", _model, _moving),
    "POST /models/{model_id}/recount": ("job.begin", _model, lambda c, path: c.post(f"{path}/recount", json={})),
    "POST /models/{model_id}/purge": (
        "job.begin",
        _archived,
        lambda c, path: c.post(f"{path}/purge", json={"everything_of": path.removeprefix("/models/")}),
    ),
    "DELETE /jobs/{job_id}": ("job.cancel", _job, lambda c, path: c.delete(path)),
    "DELETE /models/{model_id}": ("model.archive", _model, lambda c, path: c.delete(path)),
}
"""By operation: the action that its row names, what must be there before, and the call that changes something."""

REMEMBER = "select md5(string_agg(t::text, '|' order by t::text)) from {} t"
TABLES = ("users", "log_in", "refresh_token", "api_key", "model", "model_version", "model_alias", "version_move", "job")


async def numbers(database: Database) -> list[Any]:
    async with database.connection() as connection:
        rows: list[Any] = await connection.fetch("select * from audit order by id")
        return rows


async def state(database: Database) -> list[str | None]:
    async with database.connection() as connection:
        return [await connection.fetchval(REMEMBER.format(table)) for table in TABLES]


class TestEveryChange:
    def test_is_tried_here(self) -> None:
        assert set(TRIED) | INGEST == MUTATING

    async def test_leaves_one_row(self, admin: httpx.AsyncClient, database: Database) -> None:
        for operation, (action, prepare, act) in TRIED.items():
            made = await prepare(admin)
            before = await numbers(database)
            answer = await act(admin, made)
            assert answer.is_success, (operation, answer.text)
            rows = (await numbers(database))[len(before) :]
            assert [(row["action"], row["outcome"]) for row in rows] == [(action, "done")], operation
            [row] = rows
            assert row["request_id"] == answer.headers["x-request-id"]
            assert row["address"] == "203.0.113.7"
            assert row["actor"].startswith("user:")
            assert PASSWORD not in str(row)

    async def test_is_undone_where_the_row_cannot_be_written(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        for operation, (_, prepare, act) in TRIED.items():
            made = await prepare(admin)
            async with database.connection() as connection:
                await connection.execute("alter table audit add constraint full_up check (id < 0) not valid")
            before = await state(database)
            assert (operation, (await act(admin, made)).status_code) == (operation, 500)
            assert await state(database) == before, operation
            async with database.connection() as connection:
                await connection.execute("alter table audit drop constraint full_up")


class TestReading:
    async def test_leaves_no_row(self, admin: httpx.AsyncClient, database: Database) -> None:
        model = (await _model(admin)).removeprefix("/models/")
        before = len(await numbers(database))
        for method, path, _ in OPERATIONS:
            if method == "GET" and not path.endswith(ENDLESS):
                assert (await admin.get(address(path, model))).status_code < 500
        assert len(await numbers(database)) == before


class TestWhatIsRefused:
    @pytest.mark.parametrize(("name", "thing"), [("admin@example.com", "user:"), ("nobody@example.com", "account:")])
    async def test_a_log_in(self, client: httpx.AsyncClient, database: Database, name: str, thing: str) -> None:
        before = await numbers(database)
        form = {"username": name, "password": "typed-a-secret-here"}
        assert (await client.post("/auth/token", data=form)).status_code == 401
        [row] = (await numbers(database))[len(before) :]
        assert (row["action"], row["outcome"], row["actor"]) == ("log-in.begin", "refused", "anonymous")
        assert row["object"].startswith(thing)
        assert name not in str(row)
        assert "typed" not in str(row)

    async def test_a_refresh_token_used_again(
        self, client: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        token = {"refresh_token": (await _log_in(client))["refresh_token"]}
        assert (await client.post("/auth/refresh", json=token)).status_code == 200
        clock.advance(seconds=11)
        before = await numbers(database)
        assert (await client.post("/auth/refresh", json=token)).status_code == 401
        [row] = (await numbers(database))[len(before) :]
        assert (row["action"], row["outcome"], row["details"]) == ("log-in.refresh", "refused", '{"reason": "reused"}')


class TestWhatChangesNothing:
    async def test_says_so(self, admin: httpx.AsyncClient, database: Database) -> None:
        path, alias, user = await _model(admin), await _aliased(admin), await _user(admin)
        for again in (
            _setting_up(admin, path.removeprefix("/models/")),
            admin.put(alias, json={"version": "1"}),
            admin.patch(user, json={"role": "viewer"}),
        ):
            before = await numbers(database)
            assert (await again).status_code == 200
            [row] = (await numbers(database))[len(before) :]
            assert (row["outcome"], row["before"]) == ("unchanged", row["after"])

    async def test_a_job_that_is_under_way_is_given_again(self, admin: httpx.AsyncClient, database: Database) -> None:
        path = f"{await _model(admin)}/recount"
        before = await numbers(database)
        first, second = [(await admin.post(path, json={})).json()["job_id"] for _ in range(2)]
        assert first == second
        assert [row["outcome"] for row in (await numbers(database))[len(before) :]] == ["done", "unchanged"]

    async def test_a_job_that_is_asked_to_end_twice(self, admin: httpx.AsyncClient, database: Database) -> None:
        path = await _job(admin)
        async with database.connection() as connection:
            await connection.execute("update job set status = 'running'")
        before = await numbers(database)
        assert [(await admin.delete(path)).status_code for _ in range(2)] == [200, 200]
        assert [row["outcome"] for row in (await numbers(database))[len(before) :]] == ["done", "unchanged"]


class TestImports:
    async def test_are_announced_and_other_rows_are_not(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        path = await _model(admin)
        at = rfc3339(clock.now_us())
        before = await numbers(database)
        rows = [{"prediction_id": f"p{n}", "score": 0.5, "timestamp": at} for n in range(3)]
        assert (await admin.post(f"{path}/predictions", json={"predictions": rows})).status_code == 201
        assert len(await numbers(database)) == len(before)
        labels = {"labels": [{"prediction_id": "p1", "actual": "1", "timestamp": at}], "import": True}
        assert (await admin.post(f"{path}/labels", json=labels)).status_code == 201
        [row] = (await numbers(database))[len(before) :]
        assert (row["action"], row["object"], row["details"]) == (
            "data.import",
            f"model:{path.removeprefix('/models/')}",
            '{"rows": 1}',
        )

    async def test_that_are_refused_are_not(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        path = await _model(admin)
        before = await numbers(database)
        row = {"prediction_id": "p1", "actual": "no-class-of-it", "timestamp": rfc3339(clock.now_us())}
        answer = await admin.post(f"{path}/labels", json={"labels": [row], "import": True})
        assert answer.status_code == 422, answer.text
        assert len(await numbers(database)) == len(before)


class TestList:
    async def test_shows_the_newest_first_page_by_page(self, admin: httpx.AsyncClient) -> None:
        await _aliased(admin)
        await _key(admin)
        whole = (await admin.get("/audit")).json()["entries"]
        assert [entry["id"] for entry in whole] == sorted((entry["id"] for entry in whole), reverse=True)
        assert whole[0]["action"] == "api-key.create"
        paged, cursor = [], None
        while True:
            page = (await admin.get("/audit", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            paged += page["entries"]
            if (cursor := page["next_cursor"]) is None:
                break
        assert paged == whole

    async def test_filters(self, admin: httpx.AsyncClient, clock: FrozenClock) -> None:
        await admin.post("/auth/token", data={**LOG_IN, "password": "wrong"})
        model = (await _aliased(admin)).split("/")[2]
        clock.advance(seconds=1)
        await admin.post("/api-keys", json=NEW_KEY, headers={"X-Request-ID": "of-the-key"})
        for query, actions in (
            ({"action": "alias.point"}, ["alias.point"]),
            ({"object": f"model:{model}"}, ["alias.point", "model.set-up"]),
            ({"object": f"model:{model}", "action": "model.set-up"}, ["model.set-up"]),
            ({"actor": "nobody"}, []),
            ({"outcome": "refused"}, ["log-in.begin"]),
            ({"from": "2026-03-02T12:00:01Z"}, ["api-key.create"]),
            ({"to": "2026-03-02T12:00:01Z", "object": f"model:{model}"}, ["alias.point", "model.set-up"]),
            ({"request_id": "of-the-key"}, ["api-key.create"]),
        ):
            found = (await admin.get("/audit", params=query)).json()["entries"]
            assert [entry["action"] for entry in found] == actions, query

    @pytest.mark.parametrize("moment", ["2026", "2026-03-02", "2026-03-02T12:00:01", "2026-03-02 12:00:01Z", ""])
    async def test_takes_no_time_that_could_be_another(self, admin: httpx.AsyncClient, moment: str) -> None:
        answer = await admin.get("/audit", params={"from": moment})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/from")

    async def test_is_for_admins_alone(self, app: FastAPI, identities: Identities) -> None:
        for role in Role:
            async with client_of(app, **bearer(await identities.user(role))) as who:
                allowed = "audit:read" in SCOPES_OF[role]
                assert (await who.get("/audit")).status_code == (200 if allowed else 403)

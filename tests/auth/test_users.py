"""Users, and the first of them."""

import asyncio
import contextlib
import time
from unicodedata import normalize

import httpx
import pytest
from fastapi import FastAPI

from app.auth.errors import GuessablePassword
from app.auth.passwords import demand_unguessable
from app.auth.users import Users
from app.core.passwords import EXAMPLE
from app.core.settings import Settings
from app.db.engine import Database
from tests.support.http import PASSWORD, Identities, bearer, client_of

NEW = {"email": "Grace@Example.com", "password": PASSWORD, "role": "ml_engineer"}


class TestFirstAdmin:
    async def test_is_made_at_the_start_and_can_log_in(self, client: httpx.AsyncClient, settings: Settings) -> None:
        assert settings.admin_email is not None
        assert settings.admin_password is not None
        form = {"username": settings.admin_email, "password": settings.admin_password.get_secret_value()}
        assert "users:manage" in (await client.post("/auth/token", data=form)).json()["scope"]

    async def test_is_made_once_though_many_start_at_once(
        self, app: FastAPI, settings: Settings, database: Database
    ) -> None:
        users: Users = app.state.services[Users]
        async with database.connection() as connection:
            await connection.execute("update users set role = 'viewer'")
        later = settings.model_copy(update={"admin_email": "second@example.com"})
        made = await asyncio.gather(*(users.ensure_first_admin(later) for _ in range(6)))
        assert sum(made) == 1
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from users where email = 'second@example.com'") == 1

    async def test_is_no_second_one(
        self, app: FastAPI, settings: Settings, database: Database, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Who may set a variable later does not make an admin by it beside those there are, and is told so."""
        users: Users = app.state.services[Users]
        later = settings.model_copy(update={"admin_email": "second@example.com"})
        assert not await users.ensure_first_admin(settings)
        assert "ASSAY_ADMIN_EMAIL" not in "".join(capfd.readouterr())
        assert not await users.ensure_first_admin(later)
        assert "there is an admin already" in "".join(capfd.readouterr())
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from users") == 1

    @pytest.mark.parametrize("change", ["disabled_at = now()", "role = 'viewer'"])
    async def test_is_made_where_no_admin_can_log_in(
        self, app: FastAPI, settings: Settings, database: Database, change: str
    ) -> None:
        users: Users = app.state.services[Users]
        async with database.connection() as connection:
            await connection.execute(f"update users set {change}")
        assert await users.ensure_first_admin(settings.model_copy(update={"admin_email": "second@example.com"}))

    async def test_a_changed_password_is_left_alone(self, app: FastAPI, settings: Settings) -> None:
        users: Users = app.state.services[Users]
        assert not await users.ensure_first_admin(settings)


class TestManageUsers:
    async def test_makes_lists_and_changes(self, admin: httpx.AsyncClient) -> None:
        made = await admin.post("/users", json=NEW)
        assert made.status_code == 201
        assert made.json()["email"] == "grace@example.com"
        assert "password" not in made.text
        changed = await admin.patch(f"/users/{made.json()['id']}", json={"role": "team_lead", "disabled": True})
        assert (changed.json()["role"], changed.json()["disabled"]) == ("team_lead", True)
        listed = (await admin.get("/users")).json()["users"]
        assert changed.json() in listed

    async def test_pages(self, admin: httpx.AsyncClient) -> None:
        for n in range(4):
            await admin.post("/users", json={**NEW, "email": f"user{n}@example.com"})
        found, cursor = [], None
        while True:
            query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
            page = (await admin.get("/users", params=query)).json()
            found += [user["id"] for user in page["users"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert found == sorted(set(found))
        assert len(found) == 6  # with the two admins

    async def test_an_address_is_taken_once(self, admin: httpx.AsyncClient) -> None:
        await admin.post("/users", json=NEW)
        answer = await admin.post("/users", json={**NEW, "email": "grace@example.COM"})
        assert answer.status_code == 409

    async def test_an_accent_may_be_a_character_of_its_own(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient
    ) -> None:
        """Two spellings of one text look the same and are the same user."""
        assert (await admin.post("/users", json={**NEW, "email": "Cafe\u0301@x.de"})).json()["email"] == "caf\xe9@x.de"
        assert (await admin.post("/users", json={**NEW, "email": "caf\xe9@x.de"})).status_code == 409
        form = {"username": "cafe\u0301@x.de", "password": PASSWORD}
        assert (await client.post("/auth/token", data=form)).status_code == 200

    async def test_a_password_is_as_long_as_it_is_kept(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient
    ) -> None:
        longest = "steep lantern mosaic thaw ".ljust(128, "\u00fc")
        for email, password in (("a@x.de", longest), ("b@x.de", normalize("NFD", longest))):
            assert (await admin.post("/users", json={**NEW, "email": email, "password": password})).status_code == 201
            for spelled in (longest, normalize("NFD", longest)):
                form = {"username": email, "password": spelled}
                assert (await client.post("/auth/token", data=form)).status_code == 200

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({**NEW, "password": "hunter2"}, "/password"),
            ({**NEW, "password": "x" * 129}, "/password"),
            ({**NEW, "password": "password1234"}, "/password"),  # known from every leak
            ({**NEW, "password": "Grace@Example.com1"}, "/password"),  # the address itself
            ({**NEW, "password": "qwertyuiop123"}, "/password"),
            ({**NEW, "password": EXAMPLE}, "/password"),  # the document's
            ({**NEW, "password": "Blu\u0308e-Kettl"}, "/password"),  # 12 code points, of which two are one character
            ({**NEW, "password": "\ufdfa" * 10}, "/password"),  # 180 characters, written in ten
            ({**NEW, "password": "aaaaaaaaaaaaaaaa"}, "/password"),
            ({**NEW, "role": "king"}, "/role"),
            ({**NEW, "email": "no address"}, "/email"),
            ({**NEW, "email": "\u0130" * 200 + "@x.de"}, "/email"),  # 205 characters, which are 405 in lower case
            ({**NEW, "is_admin": True}, "/is_admin"),
            ({"email": "a@b.c"}, "/password"),
        ],
    )
    async def test_says_what_is_wrong_without_repeating_it(
        self, admin: httpx.AsyncClient, body: dict[str, str], pointer: str
    ) -> None:
        answer = await admin.post("/users", json=body)
        assert answer.status_code == 422
        assert pointer in {error["pointer"] for error in answer.json()["errors"]}
        assert not any(given in answer.text for given in ("hunter2", "king", "no address", "password1234", EXAMPLE))

    async def test_a_new_role_and_a_new_password_end_old_tokens(
        self, app: FastAPI, admin: httpx.AsyncClient, identities: Identities
    ) -> None:
        token = await identities.user("viewer")
        async with client_of(app, **bearer(token)) as viewer:
            number = (await viewer.get("/auth/me")).json()["subject"].removeprefix("user:")
            assert (await admin.patch(f"/users/{number}", json={"role": "team_lead"})).status_code == 200
            assert (await viewer.get("/auth/me")).status_code == 401

    @pytest.mark.parametrize("password", ["letmeinletmein", "grace@example.com", "Grace@Example.com1"])
    async def test_a_guessable_password_is_no_new_password_either(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, password: str
    ) -> None:
        number = (await admin.post("/users", json=NEW)).json()["id"]
        answer = await admin.patch(f"/users/{number}", json={"password": password})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/guessable-password")
        form = {"username": "grace@example.com", "password": PASSWORD}
        assert (await client.post("/auth/token", data=form)).status_code == 200

    def test_to_judge_a_password_takes_no_second_whatever_it_is(self) -> None:
        """The estimate tries what a password could have been made from; some texts have very many origins."""
        for password in ("4@8({[<36&9#!1/|0$5+7%2" * 6, "aA1!" * 32, "password" * 16, "0123456789" * 12 + "abcdefgh"):
            begun = time.process_time()
            with contextlib.suppress(GuessablePassword):
                demand_unguessable(password[:128])
            assert time.process_time() - begun < 1

    @pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}])
    async def test_the_last_admin_stays(
        self, admin: httpx.AsyncClient, database: Database, change: dict[str, object]
    ) -> None:
        me = int((await admin.get("/auth/me")).json()["subject"].removeprefix("user:"))
        async with database.connection() as connection:
            await connection.execute("delete from users where id <> $1", me)
        answer = await admin.patch(f"/users/{me}", json=change)
        assert answer.status_code == 409
        assert (await admin.get("/auth/me")).status_code == 200

    @pytest.mark.parametrize("disabled", ["no", "false", 0, 1, []])
    async def test_what_only_looks_like_a_truth_value_is_none(self, admin: httpx.AsyncClient, disabled: object) -> None:
        me = (await admin.get("/auth/me")).json()["subject"].removeprefix("user:")
        answer = await admin.patch(f"/users/{me}", json={"disabled": disabled})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/disabled")

    async def test_nobody_of_that_number(self, admin: httpx.AsyncClient) -> None:
        assert (await admin.patch("/users/2147483647", json={"disabled": True})).status_code == 404
        assert (await admin.patch("/users/2147483647", json={"password": PASSWORD})).status_code == 404
        assert (await admin.patch("/users/2147483648", json={"disabled": True})).status_code == 422

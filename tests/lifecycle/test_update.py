"""Moving a version through its states: with the ETag, by the table, by those who may."""

import asyncio

import httpx
import pytest

from tests.support.http import Identities, bearer

REFUSED = [
    ({"target_state": "flying", "reason": "r"}, "/target_state"),
    ({"target_state": "training", "reason": ""}, "/reason"),
    ({"target_state": "training", "reason": "r", "version": "9"}, "/version"),
    ({"target_state": "training", "reason": "r", "colour": "red"}, "/colour"),
]
CHAIN = ["training", "validated", "staging", "production", "deprecated", "archived"]


async def set_up(client: httpx.AsyncClient, version: str = "1") -> None:
    answer = await client.post("/models/m/tracking/setup", json={"model_info": {"model_id": "m", "version": version}})
    assert answer.status_code == 201


async def tag(client: httpx.AsyncClient) -> str:
    return (await client.get("/models/m/lifecycle/status")).headers["etag"]


async def move(client: httpx.AsyncClient, target: str, version: str | None = None) -> httpx.Response:
    """With the tag of now."""
    body = {"target_state": target, "reason": "because"} | ({} if version is None else {"version": version})
    return await client.put("/models/m/lifecycle/update", json=body, headers={"If-Match": await tag(client)})


async def to_production(client: httpx.AsyncClient, version: str) -> None:
    for target in ("training", "validated", "staging", "production"):
        assert (await move(client, target, version)).status_code == 200


class TestTheChain:
    async def test_goes_from_tracking_to_the_archive(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        for target in CHAIN:
            answer = await move(admin, target)
            assert (answer.status_code, answer.json()["state"]) == (200, target)
        history = answer.json()["history"]
        assert [entry["to_state"] for entry in history] == ["registered", "tracking", *CHAIN][::-1]
        assert {entry["reason"] for entry in history[:6]} == {"because"}

    async def test_an_illegal_move_names_the_legal_ones(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        answer = await move(admin, "production")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/illegal-move")
        assert answer.json()["allowed_transitions"] == ["training"]
        assert (await admin.get("/models/m/lifecycle/status")).json()["allowed_transitions"] == ["training"]

    async def test_a_version_without_setup_is_not_tracked(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await admin.post("/models/m/versions", json={"version": "2"})
        answer = await move(admin, "tracking", "2")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/setup-missing")

    async def test_refuses_with_the_place(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        headers = {"If-Match": await tag(admin)}
        for body, pointer in REFUSED:
            answer = await admin.put("/models/m/lifecycle/update", json=body, headers=headers)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), body

    async def test_unknown_model(self, admin: httpx.AsyncClient) -> None:
        body = {"target_state": "training", "reason": "r"}
        answer = await admin.put("/models/m/lifecycle/update", json=body, headers={"If-Match": "*"})
        assert answer.status_code == 404


class TestIfMatch:
    async def test_is_needed(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        answer = await admin.put("/models/m/lifecycle/update", json={"target_state": "training", "reason": "r"})
        assert (answer.status_code, answer.json()["type"]) == (428, "/problems/precondition-missing")

    async def test_a_stale_one_moves_nothing(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        stale = {"If-Match": await tag(admin)}
        await set_up(admin, "2")
        body = {"target_state": "training", "reason": "r"}
        answer = await admin.put("/models/m/lifecycle/update", json=body, headers=stale)
        assert (answer.status_code, answer.json()["type"]) == (412, "/problems/stale-revision")
        assert answer.json()["current"] == await tag(admin)
        assert (await admin.get("/models/m")).json()["state"] == "tracking"

    async def test_without_quotes_or_weak_is_told_its_form(self, admin: httpx.AsyncClient) -> None:
        """A 412 would have it read the status again, and again."""
        await set_up(admin)
        known = await tag(admin)
        for sent in (known.strip('"'), f"W/{known}"):
            body = {"target_state": "training", "reason": "r"}
            answer = await admin.put("/models/m/lifecycle/update", json=body, headers={"If-Match": sent})
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/header/if-match")

    async def test_of_ten_with_the_same_one_one_moves(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        known = {"If-Match": await tag(admin)}
        body = {"target_state": "training", "reason": "r"}
        answers = await asyncio.gather(
            *(admin.put("/models/m/lifecycle/update", json=body, headers=known) for _ in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9

    async def test_the_answer_carries_the_next_one(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        answer = await move(admin, "training")
        assert answer.headers["etag"] == await tag(admin)


class TestWhichVersion:
    async def test_without_one_it_is_the_one_whose_state_is_shown(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await move(admin, "training")
        await set_up(admin, "2")
        answer = await move(admin, "validated")
        assert (answer.json()["version"], answer.json()["state"]) == ("1", "validated")

    async def test_the_champion_comes_first(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await set_up(admin, "2")
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        assert (await move(admin, "training")).json()["version"] == "1"


class TestProduction:
    async def test_makes_the_champion(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await to_production(admin, "1")
        status = (await admin.get("/models/m/lifecycle/status")).json()
        assert status["aliases"] == {"champion": "1"}

    async def test_rolled_back_the_one_before_is_champion_again(self, admin: httpx.AsyncClient) -> None:
        for version in ("1", "2"):
            await set_up(admin, version)
            await to_production(admin, version)
        assert (await admin.get("/models/m")).json()["default_version"] == "2"
        answer = await move(admin, "validated", "2")
        assert (answer.json()["aliases"], answer.json()["state"]) == ({"champion": "1"}, "production")

    async def test_rolled_back_to_nothing_there_is_no_champion(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await to_production(admin, "1")
        assert (await move(admin, "validated")).json()["aliases"] == {}

    async def test_keeps_the_model_from_the_archive(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await to_production(admin, "1")
        answer = await admin.delete("/models/m")
        assert (answer.status_code, answer.json()["versions"]) == (409, ["1"])
        await move(admin, "deprecated")
        assert (await admin.delete("/models/m")).status_code == 200


class TestWhoMay:
    @pytest.mark.parametrize(
        ("role", "status"),
        [("data_scientist", 403), ("ml_engineer", 403), ("senior_data_scientist", 200)],
    )
    async def test_promote(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities, role: str, status: int
    ) -> None:
        await set_up(admin)
        for target in ("training", "validated", "staging"):
            await move(admin, target)
        headers = bearer(await identities.user(role)) | {"If-Match": await tag(admin)}
        body = {"target_state": "production", "reason": "r"}
        answer = await client.put("/models/m/lifecycle/update", json=body, headers=headers)
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["scope"] == "deployments:promote"

    @pytest.mark.parametrize(("role", "status"), [("data_scientist", 403), ("ml_engineer", 200)])
    async def test_roll_back(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities, role: str, status: int
    ) -> None:
        await set_up(admin)
        await to_production(admin, "1")
        headers = bearer(await identities.user(role)) | {"If-Match": await tag(admin)}
        body = {"target_state": "validated", "reason": "r"}
        assert (await client.put("/models/m/lifecycle/update", json=body, headers=headers)).status_code == status

    @pytest.mark.parametrize(("role", "status"), [("data_scientist", 403), ("ml_engineer", 200)])
    async def test_take_out_of_production_for_good(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities, role: str, status: int
    ) -> None:
        for version in ("1", "2"):
            await set_up(admin, version)
            await to_production(admin, version)
        headers = bearer(await identities.user(role)) | {"If-Match": await tag(admin)}
        body = {"target_state": "deprecated", "reason": "r"}
        answer = await client.put("/models/m/lifecycle/update", json=body, headers=headers)
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["scope"] == "deployments:manage"
        assert (await admin.get("/models/m")).json()["default_version"] == ("2" if status == 403 else "1")

    async def test_a_key_that_may_roll_back_takes_nothing_out_for_good(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        await set_up(admin)
        await to_production(admin, "1")
        key = bearer(await identities.key("models:read", "models:write", "deployments:abort"))
        body = {"target_state": "deprecated", "reason": "r"}
        answer = await client.put("/models/m/lifecycle/update", json=body, headers=key | {"If-Match": await tag(admin)})
        assert (answer.status_code, answer.json()["scope"]) == (403, "deployments:manage")
        assert (await client.delete("/models/m", headers=key)).status_code == 409  # it is in production still

    async def test_change_the_champion_of_a_model_in_production(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        await set_up(admin)
        await set_up(admin, "2")
        scientist = bearer(await identities.user("data_scientist"))
        tracked = await client.put("/models/m/aliases/champion", json={"version": "2"}, headers=scientist)
        assert tracked.status_code == 200  # it was the last that was set up, so nothing changes
        await to_production(admin, "1")
        refused = await client.put("/models/m/aliases/champion", json={"version": "2"}, headers=scientist)
        assert (refused.status_code, refused.json()["scope"]) == (403, "deployments:promote")
        assert (await client.delete("/models/m/aliases/champion", headers=scientist)).status_code == 403

"""The registry over HTTP."""

import httpx

from app.db.engine import Database
from tests.support.http import Identities, bearer
from tests.support.models import make_model


class TestListModels:
    async def test_goes_through_all_in_pages(self, admin: httpx.AsyncClient, database: Database) -> None:
        for number in range(5):
            await make_model(database, f"m{number}")
        seen, cursor = [], None
        while True:
            page = (await admin.get("/models", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            seen.append([model["model_id"] for model in page["models"]])
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [["m0", "m1"], ["m2", "m3"], ["m4"]]

    async def test_tells_state_versions_and_aliases(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m", versions=("1", "2"), champion="1")
        [model] = (await admin.get("/models")).json()["models"]
        assert model["task"] == "binary"
        assert (model["classes"], model["positive_class"]) == (["0", "1"], "1")
        assert (model["state"], model["version"], model["default_version"]) == ("registered", "1", "1")
        assert (model["versions"], model["aliases"]) == (["1", "2"], {"champion": "1"})

    async def test_refuses_a_cursor_that_it_did_not_make(self, admin: httpx.AsyncClient) -> None:
        for cursor in ("nonsense!", "%%%", "/w", "é"):
            answer = await admin.get("/models", params={"cursor": cursor})
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["pointer"] == "/query/cursor"

    async def test_shows_a_limited_key_its_own_models_only(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        for name in ("mine", "other"):
            await make_model(database, name)
        key = bearer(await identities.key("models:read", models=["mine"]))
        answer = await client.get("/models", headers=key)
        assert [model["model_id"] for model in answer.json()["models"]] == ["mine"]
        assert (await client.get("/models/other", headers=key)).status_code == 404


class TestGetModel:
    async def test_unknown(self, admin: httpx.AsyncClient) -> None:
        answer = await admin.get("/models/nothing")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/model-not-found")

    async def test_refuses_ids_that_no_model_can_have(self, admin: httpx.AsyncClient) -> None:
        for model_id in ("-leading", "a" * 129, "a b", "a%00b", "a%0A"):
            assert (await admin.get(f"/models/{model_id}")).status_code == 422, model_id


class TestArchive:
    async def test_keeps_the_model_readable_and_out_of_the_list(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        await make_model(database, "m")
        archived = await admin.delete("/models/m")
        assert (archived.status_code, archived.json()["state"]) == (200, "archived")
        assert (await admin.get("/models/m")).json()["state"] == "archived"
        assert (await admin.get("/models")).json()["models"] == []
        listed = (await admin.get("/models", params={"archived": True})).json()["models"]
        assert [model["model_id"] for model in listed] == ["m"]

    async def test_twice_is_as_once(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        first, second = [(await admin.delete("/models/m")).json() for _ in range(2)]
        assert first == second

    async def test_ends_all_change(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        await admin.delete("/models/m")
        for answer in (
            await admin.post("/models/m/versions", json={"version": "2"}),
            await admin.put("/models/m/aliases/champion", json={"version": "1"}),
        ):
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/model-archived")


async def set_up_versions(client: httpx.AsyncClient, *versions: str) -> None:
    for version in versions:
        setup = {"model_info": {"model_id": "m", "version": version}}
        assert (await client.post("/models/m/tracking/setup", json=setup)).status_code == 201


REFUSED_VERSIONS: list[tuple[dict[str, object], str]] = [
    ({}, "/version"),  # needed
    ({"version": "2", "colour": "red"}, "/colour"),  # unknown keys are refused, not dropped
    ({"version": "a b"}, "/version"),  # can't stand in an address
    ({"version": True}, "/version"),
    ({"version": "2", "training_data_hash": "a\x01b"}, "/training_data_hash"),
    ({"version": "2", "model_type": 7}, "/model_type"),
]


class TestVersions:
    async def test_a_new_one_is_registered(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        body = {"version": "2", "model_type": "forest", "training_data_hash": "abc"}
        made = await admin.post("/models/m/versions", json=body)
        assert made.status_code == 201
        assert made.json() | body == made.json()
        assert (made.json()["state"], made.json()["allowed_transitions"]) == ("registered", ["tracking"])
        assert (await admin.get("/models/m/versions/2")).json() == made.json()

    async def test_registering_again_changes_nothing(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        body = {"version": "2", "training_data_hash": "abc"}
        first, second = [await admin.post("/models/m/versions", json=body) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json() == second.json()

    async def test_another_hash_under_the_same_label_is_a_conflict(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        await make_model(database, "m")
        await admin.post("/models/m/versions", json={"version": "2", "training_data_hash": "abc"})
        answer = await admin.post("/models/m/versions", json={"version": "2", "training_data_hash": "def"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/training_data_hash")

    async def test_list_in_order_of_registration(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m", versions=("b", "c", "a"))
        first = (await admin.get("/models/m/versions", params={"limit": 2})).json()
        rest = (await admin.get("/models/m/versions", params={"cursor": first["next_cursor"]})).json()
        assert [version["version"] for version in first["versions"] + rest["versions"]] == ["b", "c", "a"]
        assert rest["next_cursor"] is None

    async def test_unknown_version(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        answer = await admin.get("/models/m/versions/9")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/version-not-found")

    async def test_refuses_with_the_place(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        for body, pointer in REFUSED_VERSIONS:
            answer = await admin.post("/models/m/versions", json=body)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), body


class TestAliases:
    async def test_point_at_a_version_until_removed(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m", versions=("1", "2"))
        put = await admin.put("/models/m/aliases/challenger", json={"version": "2"})
        assert put.json() == {"model_id": "m", "aliases": {"challenger": "2"}}
        moved = await admin.put("/models/m/aliases/challenger", json={"version": 1})
        assert moved.json()["aliases"] == {"challenger": "1"}
        assert (await admin.get("/models/m/versions/1")).json()["aliases"] == ["challenger"]
        assert (await admin.delete("/models/m/aliases/challenger")).json()["aliases"] == {}
        assert (await admin.delete("/models/m/aliases/challenger")).status_code == 404

    async def test_the_champion_takes_what_names_no_version(self, admin: httpx.AsyncClient, database: Database) -> None:
        await set_up_versions(admin, "1", "2")
        assert (await admin.get("/models/m")).json()["default_version"] == "2"
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        assert (await admin.get("/models/m")).json()["default_version"] == "1"

    async def test_a_version_without_a_setup_takes_nothing_that_names_none(self, admin: httpx.AsyncClient) -> None:
        await set_up_versions(admin, "1")
        await admin.post("/models/m/versions", json={"version": "2"})
        answer = await admin.put("/models/m/aliases/champion", json={"version": "2"})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/setup-missing")
        assert (await admin.get("/models/m")).json()["default_version"] == "1"

    async def test_who_may_not_promote_names_only_the_champion_that_answers_already(
        self, admin: httpx.AsyncClient, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        await set_up_versions(admin, "1", "2")
        scientist = bearer(await identities.user("data_scientist"))
        refused = await client.put("/models/m/aliases/champion", json={"version": "1"}, headers=scientist)
        assert (refused.status_code, refused.json()["scope"]) == (403, "deployments:promote")
        named = await client.put("/models/m/aliases/champion", json={"version": "2"}, headers=scientist)
        assert named.json()["aliases"] == {"champion": "2"}
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        taken = await client.delete("/models/m/aliases/champion", headers=scientist)
        assert (taken.status_code, taken.json()["scope"]) == (403, "deployments:promote")

    async def test_refuse_a_version_that_is_not_there(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        answer = await admin.put("/models/m/aliases/champion", json={"version": "9"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/version")

    async def test_refuse_other_names(self, admin: httpx.AsyncClient, database: Database) -> None:
        await make_model(database, "m")
        for alias in ("Champion", "9", "a" * 65):
            assert (await admin.put(f"/models/m/aliases/{alias}", json={"version": "1"})).status_code == 422


class TestWhoMay:
    async def test_a_viewer_looks_but_does_not_touch(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        await make_model(database, "m")
        viewer = bearer(await identities.user("viewer"))
        assert (await client.get("/models/m", headers=viewer)).status_code == 200
        assert (await client.delete("/models/m", headers=viewer)).status_code == 403
        assert (await client.post("/models/m/versions", json={"version": "2"}, headers=viewer)).status_code == 403

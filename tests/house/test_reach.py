"""A key that is limited to some models learns nothing of the others, by whatever operation: not even that they are."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.auth.scopes import KEY_SCOPES
from tests.house.test_routes import ENDLESS, GUARDED, address
from tests.support.http import Identities, bearer, client_of

MINE, THEIRS, NOWHERE = "mine", "theirs-7q", "nowhere"
IN_ADDRESS = [each for each in GUARDED if "{model_id}" in each[1]]
OVER_ALL = [(method, path) for method, path, guard in GUARDED if "{" not in path and guard.scope in KEY_SCOPES]
ASKING = ("", f"?model={THEIRS}", f"?model_id={THEIRS}", f"?models={THEIRS}")


@pytest.fixture
async def limited(app: FastAPI, admin: httpx.AsyncClient, identities: Identities) -> AsyncIterator[httpx.AsyncClient]:
    """A key with all that a key can have, for one model."""
    for model_id in (MINE, THEIRS):
        info = {"model_id": model_id, "model_type": "x", "version": "1", "training_data_hash": "a"}
        body = {"model_info": info, "dataset_config": {}, "monitoring_config": {}}
        assert (await admin.post(f"/models/{model_id}/tracking/setup", json=body)).status_code == 201
    async with client_of(app, **bearer(await identities.key(*KEY_SCOPES, models=[MINE]))) as client:
        yield client


def told(answer: httpx.Response, model_id: str) -> tuple[int, str]:
    """What an answer says, without what is of the request alone."""
    own = re.sub(r'"request_id":"[^"]*"', "", answer.text)
    return answer.status_code, own.replace(model_id, "…")


class TestOperationsOfAModel:
    async def test_answer_for_another_s_as_for_one_that_is_not_there(self, limited: httpx.AsyncClient) -> None:
        wrong = []
        for method, path, guard in IN_ADDRESS:
            theirs = await limited.request(method, address(path, THEIRS))
            nowhere = await limited.request(method, address(path, NOWHERE))
            expected = 404 if guard.scope in KEY_SCOPES else 403
            if theirs.status_code != expected or told(theirs, THEIRS) != told(nowhere, NOWHERE):
                wrong.append((method, path, theirs.status_code, nowhere.status_code))
        assert wrong == []
        assert len(IN_ADDRESS) >= 15

    async def test_and_for_its_own_as_ever(self, limited: httpx.AsyncClient) -> None:
        assert (await limited.get(f"/models/{MINE}")).status_code == 200
        assert (await limited.get(f"/analytics/trends/{MINE}")).status_code == 200
        stored = await limited.post(
            f"/models/{MINE}/predictions", json={"predictions": [{"prediction_id": "a", "score": 0.5}]}
        )
        assert stored.status_code == 201


class TestOperationsOverAll:
    async def test_name_no_other_model(self, admin: httpx.AsyncClient, limited: httpx.AsyncClient) -> None:
        shown, known = set(), set()
        for method, path in OVER_ALL:
            if method != "GET" or path.endswith(ENDLESS):
                continue
            for query in ASKING:
                answer = await limited.get(f"http://test{path}{query}")
                echoed = query and answer.status_code >= 400  # what was asked for may be said again
                if THEIRS in answer.text and not echoed:
                    shown.add(path + query)
            known.add(path if THEIRS in (await admin.get(f"http://test{path}")).text else None)
        assert shown == set()
        assert len(known - {None}) >= 3  # or nothing was tried: an admin does see it there


class TestJobs:
    async def test_of_another_model_are_not_there(self, admin: httpx.AsyncClient, limited: httpx.AsyncClient) -> None:
        begun = (await admin.post(f"/models/{THEIRS}/recount", json={})).json()["job_id"]
        assert begun in (await admin.get("/jobs")).text
        assert begun not in (await limited.get("/jobs")).text
        for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
            assert (await limited.request(method, f"/jobs/{begun}{path}")).status_code == 404
        assert (await admin.get(f"/jobs/{begun}")).json()["status"] != "cancelled"

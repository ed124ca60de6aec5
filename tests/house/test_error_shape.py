"""Every error of every operation is a problem (RFC 9457), and no input makes a 5xx."""

import json
import re

import httpx
import pytest

from app.core.errors import Problem
from app.main import HEALTH, create_app
from app.system.endpoints import METRICS
from app.system.openapi import operations
from tests.house.test_routes import ENDLESS, EVERYTHING, GUARDED, LOG_OUT, OPERATIONS, STREAMS, address

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
WRITING = [(method, path) for method, path, _ in OPERATIONS if method in {"POST", "PUT", "PATCH"} and path != LOG_OUT]

HOSTILE = [
    b"username=%00&password=%00",
    b"username=%ff%fe&password=%ed%a0%80",
    b"username=a&password=b&username=c&cookie=maybe",
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"0",
    b"{}",
    b'{"a": NaN}',
    b'{"a": 1e400}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\u0000"}',
    b'{"a": 1, "a": 2}',
    b"[" * 5000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b"9" * 5000,
    b"\xff\xfe{\x00}\x00",
    b'{"predictions": [{"prediction_id": "\\u0000"}]}',
    b'{"predictions": [{"prediction_id": 1e999}]}',
    b'{"predictions": "x"}',
    b'{"columns": {"prediction_id": ["a", "b"], "score": [1]}}',
    b'{"labels": [{"prediction_id": "a", "actual": {"deep": [[[[]]]]}}]}',
    b'{"model_info": {"model_id": "other"}}',
    b'{"target_state": "\\ud83d\\ude00", "reason": null}',
    b'{"email": "a@b.c", "password": 1, "role": []}',
]
TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
    "text/plain",
    "a/b/c",
    "",
]
_PYTHON = re.compile(
    r"\b(Input|String|Value|List) should|Value error|datetime|validation|\bNone\b|\[\^|\{0,|Extra inputs"
)
QUERIES = ["limit=-1", "limit=99999999999999999999", "limit=NaN", "cursor=%ff%fe", "cursor=AAAA", "from=nope&to=%00"]


def is_problem(answer: httpx.Response) -> bool:
    if answer.headers.get("content-type") != "application/problem+json":
        return False
    body = answer.json()
    return (
        set(body) >= MEMBERS
        and body["status"] == answer.status_code
        and body["request_id"] == answer.headers["x-request-id"]
        and body["type"].startswith("/problems/")
    )


def speaks_python(answer: httpx.Response) -> bool:
    """Whether what is wrong is told in the words of the libraries below."""
    return bool(_PYTHON.search(" ".join(error["message"] for error in answer.json().get("errors", ()))))


class TestEveryOperation:
    async def test_refuses_strangers_with_a_problem(self, client: httpx.AsyncClient) -> None:
        answers = {(method, path): await client.request(method, address(path)) for method, path, _ in GUARDED}
        assert [name for name, answer in answers.items() if not is_problem(answer)] == []

    async def test_names_the_methods_there_are(self, client: httpx.AsyncClient) -> None:
        for path in {path for _, path, _ in OPERATIONS}:
            answer = await client.request("BREW", address(path))
            assert (path, answer.status_code, is_problem(answer)) == (path, 405, True)
            allowed = set(answer.headers["allow"].split(", "))
            assert ("HEAD" in allowed) == ("GET" in allowed and not path.endswith(STREAMS))
            assert allowed - {"HEAD"} == {m for m, p, _ in OPERATIONS if p == path}

    async def test_names_what_it_does_not_ask_for(self, client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
        """A filter that is mistyped would show everything, and `?dry_run=true` delete."""
        asked = 0
        for path, method, operation in operations(json.loads(create_app(EVERYTHING).state.openapi())):
            if path == METRICS or path.startswith(HEALTH):
                continue
            caller = client if operation["security"] == [{}] else admin
            target = f"{address(path, 'm1')}?no_such=1"
            answer = await caller.request(method, target)
            (error,) = answer.json().get("errors", ())
            assert (method, path, answer.status_code, error["pointer"]) == (method, path, 422, "/query/no_such")
            for known in (part["name"] for part in operation.get("parameters", ()) if part["in"] == "query"):
                assert known in error["message"]
            if method == "get" and not path.endswith(STREAMS):
                assert (await caller.head(target)).status_code == 422
            asked += 1
        assert asked > 35
        assert (await admin.get("/models/m1")).json()["archived_at"] is None

    async def test_of_pages_metrics_and_health_may_be_asked_with_anything(self, client: httpx.AsyncClient) -> None:
        for path in ("/", "/docs", "/redoc", "/problems/not-found", "/api/v1/openapi.json", METRICS, HEALTH):
            assert (await client.get(f"http://test{path}?utm_source=x")).status_code == 200, path

    @pytest.fixture(autouse=True)
    async def model(self, admin: httpx.AsyncClient) -> None:
        """So that hostile input gets as far as it can."""
        body = {"model_info": {"model_id": "m1", "model_type": "x", "version": "1", "training_data_hash": "a"}}
        made = await admin.post(
            "/models/m1/tracking/setup", json={**body, "dataset_config": {}, "monitoring_config": {}}
        )
        assert made.status_code == 201

    @pytest.mark.parametrize("kind", TYPES)
    async def test_survives_hostile_bodies(self, admin: httpx.AsyncClient, kind: str) -> None:
        """Each is followed by a good request, as a neighbour on the same connection would send it."""
        wrong = []
        for method, path in WRITING:
            for body in HOSTILE:
                answer = await admin.request(method, address(path, "m1"), content=body, headers={"Content-Type": kind})
                if answer.status_code >= 500 or (answer.is_error and (not is_problem(answer) or speaks_python(answer))):
                    wrong.append((method, path, body[:40], answer.status_code))
            assert (await admin.get("/auth/me")).status_code == 200
        assert wrong == []

    async def test_survives_hostile_queries(self, admin: httpx.AsyncClient) -> None:
        wrong = []
        for method, path, _ in OPERATIONS:
            if method != "GET" or path.endswith(ENDLESS):
                continue
            for query in QUERIES:
                answer = await admin.get(f"{address(path, 'm1')}?{query}")
                if answer.status_code >= 500 or (answer.is_error and (not is_problem(answer) or speaks_python(answer))):
                    wrong.append((path, query, answer.status_code))
        assert wrong == []


class TestEveryProblem:
    def test_has_a_status_a_title_and_a_name_of_its_own(self) -> None:
        create_app(EVERYTHING)
        assert len(Problem.kinds) > 20
        for slug, kind in Problem.kinds.items():
            assert 400 <= kind.status <= 599
            assert kind.title
            assert slug == slug.lower()

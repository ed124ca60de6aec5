"""Ingest over HTTP: every form of body, who may, and what is refused."""

import asyncio
import io
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pytest
import structlog

from app.core import telemetry
from app.core.clock import FrozenClock
from app.db.engine import Database
from tests.support.http import Identities, bearer, client_of
from tests.support.models import make_model
from tests.support.tracking import rows_of

NDJSON = {"Content-Type": "application/x-ndjson"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
JSON = {"Content-Type": "application/json"}
STORED = {"accepted": 2, "duplicates": 0, "conflicts": [], "joined_labels": 0}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"\n".join(msgspec.json.encode(row) for row in rows)


def stream(**columns: Any) -> bytes:
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


ROWS = [
    {"prediction_id": "a", "score": 0.91, "features": {"amount": 12.5}, "segment": {"channel": "web"}},
    {"prediction_id": "b", "score": 0.2, "features": {"amount": 3.0}, "segment": {"channel": "app"}},
]
COLUMNS = {
    "prediction_id": ["a", "b"],
    "score": [0.91, 0.2],
    "features": {"amount": [12.5, 3.0]},
    "segment": {"channel": ["web", "app"]},
}
FORMS = [
    pytest.param(msgspec.json.encode({"predictions": ROWS}), JSON, id="rows"),
    pytest.param(msgspec.json.encode({"columns": COLUMNS}), JSON, id="columns"),
    pytest.param(lines(*ROWS), NDJSON, id="ndjson"),
    pytest.param(
        stream(
            prediction_id=["a", "b"],
            score=[0.91, 0.2],
            features=[{"amount": 12.5}, {"amount": 3.0}],
            segment=[{"channel": "web"}, {"channel": "app"}],
        ),
        ARROW,
        id="arrow",
    ),
]


class TestForms:
    @pytest.mark.parametrize(("body", "headers"), FORMS)
    async def test_each_says_the_same(
        self, database: Database, admin: httpx.AsyncClient, body: bytes, headers: dict[str, str]
    ) -> None:
        await make_model(database)
        answer = await admin.post("/models/m1/predictions", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (201, STORED)
        for other in FORMS:
            content, kind = other.values
            again = await admin.post("/models/m1/predictions", content=content, headers=kind)
            assert again.json() == {"accepted": 0, "duplicates": 2, "conflicts": [], "joined_labels": 0}

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            pytest.param(msgspec.json.encode({"labels": [{"prediction_id": "a", "actual": "1"}]}), JSON, id="rows"),
            pytest.param(msgspec.json.encode({"columns": {"prediction_id": ["a"], "actual": [1]}}), JSON, id="columns"),
            pytest.param(lines({"prediction_id": "a", "actual": "1"}), NDJSON, id="ndjson"),
            pytest.param(stream(prediction_id=["a"], actual=["1"]), ARROW, id="arrow"),
        ],
    )
    async def test_labels_too(
        self, database: Database, admin: httpx.AsyncClient, body: bytes, headers: dict[str, str]
    ) -> None:
        await make_model(database)
        await admin.post("/models/m1/predictions", json={"predictions": ROWS})
        answer = await admin.post("/models/m1/labels", content=body, headers=headers)
        assert answer.status_code == 201
        assert answer.json() == {
            "accepted": 1, "joined": 1, "waiting": 0, "duplicates": 0, "conflicts": [], "corrected": 0, "expired": 0,
        }  # fmt: skip


class TestReading:
    async def test_shows_the_prediction_with_its_label(
        self, database: Database, clock: FrozenClock, admin: httpx.AsyncClient
    ) -> None:
        await make_model(database)
        await admin.post("/models/m1/predictions", json={"predictions": [ROWS[0] | {"prediction_id": "x/1 ä"}]})
        await admin.post("/models/m1/labels", json={"labels": [{"prediction_id": "x/1 ä", "actual": "0"}]})
        answer = await admin.get("/models/m1/predictions/x/1 ä")
        assert answer.status_code == 200
        found = answer.json()
        assert (found["prediction_id"], found["score"], found["features"]) == ("x/1 ä", 0.91, {"amount": 12.5})
        assert [line["actual"] for line in found["labels"]] == ["0"]

    async def test_a_conflict_names_the_row(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        await admin.post("/models/m1/predictions", json={"predictions": ROWS})
        answer = await admin.post("/models/m1/predictions", json={"predictions": [ROWS[0] | {"score": 0.1}]})
        assert answer.status_code == 201
        assert answer.json()["conflicts"] == [
            {"row": 0, "prediction_id": "a", "detail": "stands with another content; nothing was overwritten"}
        ]

    async def test_lists_segments(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        await admin.post("/models/m1/predictions", json={"predictions": ROWS})
        answer = await admin.get("/models/m1/segments")
        assert answer.json() == {"model_id": "m1", "segments": [{"key": "channel", "values": ["web", "app"]}]}

    @pytest.mark.parametrize(
        "address", ["/models/m1/predictions/nobody", "/models/m2/predictions/a", "/models/m2/segments"]
    )
    async def test_what_is_not_there_is_404(self, database: Database, admin: httpx.AsyncClient, address: str) -> None:
        await make_model(database)
        answer = await admin.get(address)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            pytest.param(b"", JSON, 400, id="no body"),
            pytest.param(b'{"predictions": [', JSON, 400, id="half a body"),
            pytest.param(b"\xff\xfe", JSON, 400, id="not UTF-8"),
            pytest.param(b"{}", JSON, 422, id="no rows"),
            pytest.param(b'{"predictions":[{"prediction_id":"a","score":NaN}]}', JSON, 422, id="NaN is not a number"),
            pytest.param(b'{"predictions":[{"prediction_id":"a","score":1e400}]}', JSON, 422, id="beyond any double"),
            pytest.param(b'{"predictions":[{"prediction_id":"a\\u0000","score":0.5}]}', JSON, 422, id="NUL"),
            pytest.param(b"a,b\n1,2\n", {"Content-Type": "text/csv"}, 415, id="a form nobody speaks"),
            pytest.param(b"junk", ARROW, 400, id="not Arrow"),
        ],
    )
    async def test_change_nothing_and_the_next_request_is_answered(
        self, database: Database, admin: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int
    ) -> None:
        await make_model(database)
        answer = await admin.post("/models/m1/predictions", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert await rows_of(database, "prediction") == 0
        again = await admin.post("/models/m1/predictions", json={"predictions": ROWS})
        assert again.status_code == 201

    async def test_names_the_place(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        rows = [*ROWS, {"prediction_id": "c", "score": 1.5}]
        answer = await admin.post("/models/m1/predictions", json={"predictions": rows})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/predictions/2/score"]

    async def test_an_archived_model_takes_nothing_in(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)
        assert (await admin.delete("/models/m1")).status_code == 200
        for noun, row in (("predictions", ROWS[0]), ("labels", {"prediction_id": "a", "actual": "1"})):
            answer = await admin.post(f"/models/m1/{noun}", json={noun: [row]})
            assert answer.status_code == 409


class TestWhoMay:
    async def test_scopes_of_keys(self, database: Database, app: Any, identities: Identities) -> None:
        await make_model(database)
        label = {"labels": [{"prediction_id": "a", "actual": "1"}]}
        for scope, sent, expected in (
            ("predictions:write", ("predictions", {"predictions": ROWS}), 201),
            ("labels:write", ("predictions", {"predictions": ROWS}), 403),
            ("labels:write", ("labels", label), 201),
            ("predictions:write", ("labels", label), 403),
        ):
            async with client_of(app, **bearer(await identities.key(scope))) as key:
                answer = await key.post(f"/models/m1/{sent[0]}", json=sent[1])
                assert answer.status_code == expected, (scope, sent[0])

    async def test_a_key_of_one_model_writes_to_that_alone(
        self, database: Database, app: Any, identities: Identities
    ) -> None:
        await make_model(database, "m1")
        await make_model(database, "m2")
        async with client_of(app, **bearer(await identities.key("predictions:write", models=["m1"]))) as key:
            assert (await key.post("/models/m1/predictions", json={"predictions": ROWS})).status_code == 201
            assert (await key.post("/models/m2/predictions", json={"predictions": ROWS})).status_code == 404
        assert await rows_of(database, "prediction") == 2

    @pytest.mark.parametrize("how", ["body", "query"])
    async def test_imports_need_a_right_of_their_own(
        self, database: Database, app: Any, identities: Identities, how: str
    ) -> None:
        await make_model(database)
        rows = [row | {"timestamp": "2026-03-01T00:00:00Z"} for row in ROWS]
        body = {"predictions": rows} | ({"import": True} if how == "body" else {})
        params = {"import": "true"} if how == "query" else {}
        for scopes, expected in ((["predictions:write"], 403), (["predictions:write", "data:import"], 201)):
            async with client_of(app, **bearer(await identities.key(*scopes))) as key:
                answer = await key.post("/models/m1/predictions", json=body, params=params)
                assert answer.status_code == expected
        assert await rows_of(database, "prediction") == 2

    async def test_only_imports_that_were_stored_are_told_of_in_the_log(
        self, database: Database, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await make_model(database)
        log = structlog.testing.CapturingLogger()
        monkeypatch.setattr("app.tracking.service.log", log)
        good = ROWS[0] | {"timestamp": "2026-03-01T00:00:00Z"}
        for row, expected in ((good | {"score": 7}, 422), (good, 201)):
            answer = await admin.post("/models/m1/predictions", json={"predictions": [row], "import": True})
            assert answer.status_code == expected
        assert [(call.args, call.kwargs["rows"], call.kwargs["accepted"]) for call in log.calls] == [
            (("import",), 1, 1)
        ]


class TestClientsThatLeave:
    async def test_do_not_break_the_group_they_were_in(self, database: Database, admin: httpx.AsyncClient) -> None:
        await make_model(database)

        async def post(name: str) -> int:
            row = {"prediction_id": name, "score": 0.5}
            return (await admin.post("/models/m1/predictions", json={"predictions": [row]})).status_code

        tasks = [asyncio.create_task(post(f"p{number}")) for number in range(60)]
        for turn, task in enumerate(tasks[::3]):
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [number for number, answer in enumerate(answers) if answer == 201]
        assert len(kept) >= 40
        for number in kept:
            assert (await admin.get(f"/models/m1/predictions/p{number}")).status_code == 200
        assert await post("next") == 201


class TestCounters:
    async def test_say_what_became_of_rows(
        self, database: Database, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(telemetry, "_models", set())  # other tests of this process have used the names up
        await make_model(database, "counted")
        for rows in (ROWS, ROWS, [ROWS[0] | {"score": 0.1}]):
            await admin.post("/models/counted/predictions", json={"predictions": rows})
        text = (await admin.get("http://test/metrics")).text
        for outcome, n in (("accepted", 2), ("duplicate", 2), ("conflict", 1)):
            assert f'assay_predictions_total{{model_id="counted",outcome="{outcome}"}} {n}.0' in text

    async def test_say_what_became_of_labels(
        self, database: Database, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(telemetry, "_models", set())
        await make_model(database, "labelled")
        await admin.post("/models/labelled/predictions", json={"predictions": ROWS})
        known, old = ROWS[0]["prediction_id"], {"prediction_id": "old", "timestamp": "2001-01-01T00:00:00Z"}
        for actual in ("1", "1", "0"):
            labels = [{"prediction_id": known, "actual": actual}, old | {"actual": actual}]
            await admin.post("/models/labelled/labels", json={"labels": labels})
        text = (await admin.get("http://test/metrics")).text
        for outcome, n in (("accepted", 1), ("duplicate", 1), ("conflict", 1), ("expired", 3)):
            assert f'assay_labels_total{{model_id="labelled",outcome="{outcome}"}} {n}.0' in text

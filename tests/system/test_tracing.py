"""Spans, as a collector gets them; and nothing of it all without one."""

import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.core.settings import Settings, TelemetrySettings
from app.main import create_app
from app.tracking.rollups.fold import Folder
from tests.support.collector import Collector, Span, collecting
from tests.support.http import Identities, bearer, client_of, running

SETUP = {"model_info": {"model_id": "m1", "model_type": "x", "training_data_hash": "a"}}
PARENT = "0af7651916cd43dd8448eb211c80319c"


def traced(settings: Settings, endpoint: str, sampled: float = 1.0) -> Settings:
    telemetry = TelemetrySettings(otlp_endpoint=endpoint, sampled=sampled)
    return settings.model_copy(update={"telemetry": telemetry})


@pytest.fixture
async def collected(settings: Settings, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[tuple[Collector, str]]:
    """What a collector got of some requests, and what was logged meanwhile."""
    with collecting() as collector:
        async with running(create_app(traced(settings, collector.endpoint))) as app:
            await ask(app)
        yield collector, capfd.readouterr().err


async def ask(app: FastAPI) -> None:
    token = await Identities(app).user("admin")
    async with client_of(app, **bearer(token)) as client:
        parent = {"traceparent": f"00-{PARENT}-b7ad6b7169203331-01", "X-Request-ID": "set-up"}
        assert (await client.post("/models/m1/tracking/setup", json=SETUP, headers=parent)).status_code == 201
        row = {"prediction_id": "a", "score": 0.9}
        sent = await client.post("/models/m1/predictions", json={"predictions": [row]})
        assert sent.status_code == 201
        assert (await client.get("/models/none")).status_code == 404
        assert (await client.get("/system/health")).status_code == 200
        assert (await client.get("http://test/nowhere/at/all")).status_code == 404
        await app.state.services[Folder].fold_all()


class TestACollector:
    async def test_gets_a_span_of_each_request(self, collected: tuple[Collector, str]) -> None:
        collector, _ = collected
        (setup,) = collector.named("POST /api/v1/models/{model_id}/tracking/setup")
        assert setup.trace_id == PARENT
        assert setup.attributes["http.route"] == "/api/v1/models/{model_id}/tracking/setup"
        assert setup.attributes["http.response.status_code"] == 201
        assert setup.attributes["assay.request_id"] == "set-up"
        assert setup.attributes["enduser.id"].startswith("user:")
        (missing,) = collector.named("GET /api/v1/models/{model_id}")
        assert missing.attributes["http.response.status_code"] == 404
        assert len(collector.named("GET unmatched")) == 1
        assert not [span for span in collector.spans if "health" in span.name]
        assert {span.resource["service.name"] for span in collector.spans} == {"assay"}

    async def test_gets_a_span_of_each_transaction_below_its_request(self, collected: tuple[Collector, str]) -> None:
        collector, _ = collected
        (setup,) = collector.named("POST /api/v1/models/{model_id}/tracking/setup")
        assert "database write" in below(collector, setup)
        (stored,) = collector.named("POST /api/v1/models/{model_id}/predictions")
        assert "database connection" in below(collector, stored)

    async def test_gets_a_span_of_each_folding(self, collected: tuple[Collector, str]) -> None:
        collector, _ = collected
        folds = [span for span in collector.named("fold") if span.attributes["assay.deltas"] == 1]
        assert len(folds) == 1
        assert below(collector, folds[0]) == ["database connection"]

    async def test_finds_the_line_of_the_log(self, collected: tuple[Collector, str]) -> None:
        collector, logged = collected
        lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
        (line,) = [line for line in lines if line.get("request_id") == "set-up"]
        (setup,) = collector.named("POST /api/v1/models/{model_id}/tracking/setup")
        assert (line["trace_id"], line["span_id"]) == (setup.trace_id, setup.span_id)

    async def test_gets_the_share_that_was_asked_for(self, settings: Settings) -> None:
        with collecting() as collector:
            async with running(create_app(traced(settings, collector.endpoint, sampled=0))) as app:
                await ask(app)
        assert {span.trace_id for span in collector.spans} <= {PARENT}  # whose sender decided

    async def test_that_is_away_holds_nobody_up(self, settings: Settings) -> None:
        async with running(create_app(traced(settings, "http://127.0.0.1:9"))) as app, client_of(app) as client:
            assert (await client.get("/auth/me")).status_code == 401
            started = time.monotonic()
        assert time.monotonic() - started < 15

    async def test_may_be_given_what_exporters_are_given(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=risk")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=assay-of-risk")
        with collecting() as collector:
            async with running(create_app(traced(settings, collector.endpoint))) as app, client_of(app) as client:
                await client.get("/auth/me")
        assert collector.headers["x-team"] == "risk"
        assert {span.resource["service.name"] for span in collector.spans} == {"assay-of-risk"}


async def test_without_a_collector_no_line_names_a_trace(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await client.get("/auth/me", headers={"traceparent": f"00-{PARENT}-b7ad6b7169203331-01"})
    assert "/auth/me" in (logged := capfd.readouterr().err)
    assert "trace_id" not in logged


def below(collector: Collector, parent: Span) -> list[str]:
    return [span.name for span in collector.spans if span.parent_id == parent.span_id]

"""`/metrics`: Prometheus' text, guarded where a token is set, right for several processes."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.core import telemetry
from app.core.clock import FrozenClock
from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from tests.support.http import bearer, client_of, running

METRICS = "http://test/metrics"

COUNTING = """
import sys
from app.core import telemetry
for _ in range(int(sys.argv[1])):
    telemetry.answered("GET", "/x", 200, 0.01)
    telemetry.IN_PROGRESS.inc()
if sys.argv[2] == "tell":
    sys.stdout.buffer.write(telemetry.exposition())
"""


class TestMetrics:
    async def test_is_what_prometheus_reads(self, client: httpx.AsyncClient) -> None:
        await client.get("/auth/me")
        answer = await client.get(METRICS)
        assert answer.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert {"assay_http_requests", "assay_http_request_duration_seconds", "assay_component_up"} <= set(families)
        counted = {sample.labels["route"] for sample in families["assay_http_requests"].samples}
        assert "/api/v1/auth/me" in counted

    async def test_takes_its_token_where_one_is_set(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        metrics = settings.metrics.model_copy(update={"token": SecretStr("of-the-scraper")})
        app = create_app(settings.model_copy(update={"metrics": metrics}), clock=clock, database=database)
        async with running(app), client_of(app) as client:
            assert (await client.get(METRICS)).status_code == 401
            assert (await client.get(METRICS, headers=bearer("wrong"))).status_code == 401
            assert (await client.get(METRICS, headers=bearer("of-the-scraper"))).status_code == 200

    def test_several_processes_add_up(self, tmp_path: Path) -> None:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        outputs = [
            subprocess.run(
                [sys.executable, "-c", COUNTING, *arguments],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for arguments in (("3", "quiet"), ("4", "tell"))
        ]
        families = {family.name: family for family in text_string_to_metric_families(outputs[1])}
        total = [s.value for s in families["assay_http_requests"].samples if s.name.endswith("_total")]
        assert total == [7.0]


def test_labels_are_of_a_closed_list() -> None:
    used = {label for metric in vars(telemetry).values() for label in getattr(metric, "_labelnames", ())}
    assert used == {"model_id", "route", "status", "method", "outcome", "kind", "limit", "component"}

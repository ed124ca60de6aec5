"""deploy/prometheus.yml and alert_rules.yml: metrics that exist, and alerts that go off when they should."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.settings import Settings
from tests.delivery.test_compose import SERVICES
from tests.support.tools import need

FOLDER = Path(__file__).parents[2] / "deploy"
RULES = {rule["alert"]: rule for rule in yaml.safe_load((FOLDER / "alert_rules.yml").read_text())["groups"][0]["rules"]}
METRICS = (FOLDER.parent / "docs/metrics.md").read_text()
ROUTE = 'route="/api/v1/models/{model_id}/predictions"'
AT = {"instance": "app:8080", "job": "assay"}


@dataclass(frozen=True, slots=True)
class Case:
    """Series of 15 s under which an alert goes off after `minutes`, and not under `well`."""

    alert: str
    ill: dict[str, str]
    well: dict[str, str]
    labels: dict[str, str]
    minutes: int = 20
    value: str = ""


def of(name: str, **labels: str) -> str:
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def answers(status: str, rate: int) -> dict[str, str]:
    return {f'assay_http_requests_total{{method="POST",status="{status}",{ROUTE},job="assay"}}': f"0+{rate}x200"}


def durations(quick: int, slow: int) -> dict[str, str]:
    series = f'assay_http_request_duration_seconds_bucket{{method="POST",{ROUTE},job="assay",le="%s"}}'
    upto = {"1": quick, "2.5": quick + slow, "+Inf": quick + slow}
    return {series % edge: f"0+{count}x200" for edge, count in upto.items()}


DATABASE = of("assay_component_up", component="database", **AT)
LAG = of("assay_folding_lag_seconds", **AT)
WORKER = {"instance": "worker:9464", "job": "assay-worker"}
WAITS = of("assay_oldest_waiting_job_seconds", queue="assay", **WORKER)
FAILED = of("assay_jobs_ended_total", kind="purge", outcome="failed", **WORKER)
RETRIED = of("assay_jobs_ended_total", kind="purge", outcome="retried", **WORKER)
STORE = of("assay_limit_store_failures_total", **AT)
REFUSED = of("assay_authentications_total", kind="password", outcome="refused", **AT)
CASES = [
    Case("AssayDown", {of("up", **AT): "0x200"}, {of("up", **AT): "1x200"}, AT),
    Case("AssayComponentUnhealthy", {DATABASE: "0x200"}, {DATABASE: "0.5x200"}, AT | {"component": "database"}),
    Case("AssayComponentDegraded", {DATABASE: "0.5x200"}, {DATABASE: "1x200"}, AT | {"component": "database"}),
    Case(
        "AssayErrors",
        answers("503", 2) | answers("201", 98),
        answers("422", 50) | answers("201", 50),
        {"route": "/api/v1/models/{model_id}/predictions"},
    ),
    Case("AssaySlow", durations(98, 2), durations(1000, 1), {"route": "/api/v1/models/{model_id}/predictions"}),
    Case("AssayFoldingLags", {LAG: "90x200"}, {LAG: "10x200"}, AT, value="1m 30s"),
    Case("AssayWorkerDown", {of("up", **WORKER): "0x200"}, {of("up", **WORKER): "1x200"}, WORKER),
    Case("AssayJobsWait", {WAITS: "600x200"}, {WAITS: "100x200"}, {"queue": "assay"}, value="10m 0s"),
    Case("AssayJobsFail", {FAILED: "0x40 1x160"}, {FAILED: "7x200", RETRIED: "0+1x200"}, {"kind": "purge"}),
    Case("AssayLimitStoreFails", {STORE: "0+1x200"}, {STORE: "7x200"}, AT),
    Case("AssayPasswordsGuessed", {REFUSED: "0+15x200"}, {REFUSED: "0+1x200"}, {}, minutes=30, value="1"),
]


@pytest.fixture(scope="module")
def promtool() -> Path:
    return need("promtool", package="prometheus")


def run(promtool: Path, *arguments: str | Path) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_both(promtool: Path) -> None:
    run(promtool, "check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    run(promtool, "check", "rules", FOLDER / "alert_rules.yml")


def test_asks_where_the_services_of_compose_listen() -> None:
    asked = [
        target
        for job in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    ]
    port = SERVICES["worker"]["environment"]["ASSAY_METRICS__WORKER_PORT"]
    assert asked == [f"app:{Settings(_env_file=None).port}", f"worker:{port}"]


@pytest.mark.parametrize("alert", RULES)
def test_asks_for_metrics_that_exist(alert: str) -> None:
    asked = set(re.findall(r"assay_\w+", RULES[alert]["expr"]))
    assert asked or "up{" in RULES[alert]["expr"]
    for name in asked:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        (row,) = [line for line in METRICS.splitlines() if line.startswith(f"| `{base}` |")]
        selected = re.findall(rf"{name}\{{([^}}]*)\}}", RULES[alert]["expr"])
        for label in re.findall(r"(\w+)(?:=~|!~|!=|=)\"", ",".join(selected)):
            assert f"`{label}`" in row, f"{alert}: {base} has no label {label}"


def test_every_alert_goes_off_and_stays_quiet(promtool: Path, tmp_path: Path) -> None:
    assert {case.alert for case in CASES} == set(RULES)
    tests = [
        test for case in CASES for test in (on(case.ill, case, goes_off=True), on(case.well, case, goes_off=False))
    ]
    file = tmp_path / "alerts.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(FOLDER / "alert_rules.yml")], "evaluation_interval": "15s", "tests": tests})
    )
    run(promtool, "test", "rules", file)


def on(series: dict[str, str], case: Case, *, goes_off: bool) -> dict[str, Any]:
    """One test of promtool: what the alert does under these series."""
    alert = {"exp_labels": case.labels | RULES[case.alert]["labels"], "exp_annotations": told(case)}
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{case.minutes}m",
                "alertname": case.alert,
                "exp_alerts": [alert] if goes_off else [],
            }
        ],
    }


def told(case: Case) -> dict[str, str]:
    """The annotations with their places filled in."""
    filled = {}
    for name, text in RULES[case.alert]["annotations"].items():
        named = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: case.labels[match.group(1)], text)
        filled[name] = re.sub(r"\{\{ \$value .*?\}\}", case.value, named)
    return filled

"""deploy/kubernetes: by the schemas of Kubernetes' releases, confined, probed where the service answers probes."""

from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from app.cli import COMMANDS
from app.core.mistyped import mistyped
from app.core.settings import Settings
from tests.delivery.test_compose import GIVEN

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
OBJECTS: list[dict[str, Any]] = [
    found for file in sorted(FOLDER.glob("*.yaml")) for found in yaml.safe_load_all(file.read_text())
]
OF_KIND = {(found["kind"], found["metadata"]["name"]): found for found in OBJECTS}
PODS = {
    found["metadata"]["name"]: found["spec"]["template"] for found in OBJECTS if "template" in found.get("spec", {})
}
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
EACH_POD = pytest.mark.parametrize("name", PODS)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("found", OBJECTS, ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_is_what_kubernetes_takes(found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_holds_every_part() -> None:
    kinds = {found["kind"] for found in OBJECTS}
    assert kinds >= {"Deployment", "Service", "Job", "Secret", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy"}
    assert set(PODS) == {"assay-api", "assay-worker", "assay-migrate"}


def test_the_secret_has_names_and_no_values() -> None:
    assert set(OF_KIND["Secret", "assay"]["stringData"].values()) == {""}


def test_the_settings_are_those_that_production_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(OF_KIND["ConfigMap", "assay"]["data"])
    urls = {"ASSAY_DATABASE__URL": "postgresql://assay:x@db/assay", "ASSAY_REDIS_URL": "redis://redis:6379/0"}
    given |= {name: (GIVEN | urls)[name] for name in OF_KIND["Secret", "assay"]["stringData"]}
    assert list(mistyped(given)) == []
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.production
    assert "assay" in settings.http.trusted_hosts  # the Service's name


def test_whatever_selects_pods_finds_some() -> None:
    for found in OBJECTS:
        spec = found.get("spec", {})
        wanted = spec.get("podSelector", spec.get("selector"))
        if wanted is None:
            continue
        labels = wanted.get("matchLabels", wanted)
        assert any(labels.items() <= pod["metadata"]["labels"].items() for pod in PODS.values()), found["metadata"]


@pytest.mark.parametrize("name", ["assay-api", "assay-worker"])
def test_prometheus_gets_through_to_where_the_metrics_are(name: str) -> None:
    listens = {"assay-api": Settings(_env_file=None).port} | {
        "assay-worker": int(OF_KIND["ConfigMap", "assay"]["data"]["ASSAY_METRICS__WORKER_PORT"])
    }
    pod = PODS[name]
    assert pod["metadata"]["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": str(listens[name])}
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == listens[name]
    (rule,) = OF_KIND["NetworkPolicy", name]["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["name"], "protocol": "TCP"}]


@EACH_POD
class TestPod:
    def test_is_confined(self, name: str) -> None:
        spec = PODS[name]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] == 10001
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["mountPath"] for mount in each["volumeMounts"]} == {"/data", "/tmp"}

    def test_says_what_it_takes(self, name: str) -> None:
        for each in PODS[name]["spec"]["containers"]:
            assert set(each["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in each["resources"]["limits"]

    def test_runs_a_command_of_ours(self, name: str) -> None:
        assert PODS[name]["spec"]["containers"][0]["args"][0] in COMMANDS

    def test_is_given_time_to_end(self, name: str) -> None:
        spec = PODS[name]["spec"]
        if name == "assay-api":
            pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
            drain = Settings(_env_file=None).http.drain_timeout_s
            assert spec["terminationGracePeriodSeconds"] >= pause + 2 * drain  # requests, then what they had queued


async def test_probes_ask_where_the_service_answers(client: httpx.AsyncClient) -> None:
    (api,) = PODS["assay-api"]["spec"]["containers"]
    paths = {kind: api[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths["liveness"] == paths["startup"] != paths["readiness"]
    for path in paths.values():
        assert (await client.get(f"http://test{path}")).status_code == 200

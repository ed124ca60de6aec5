"""docker-compose.yml: by the schema of compose files, with settings that exist, and no secret of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import COMMANDS
from app.core.mistyped import mistyped
from app.core.settings import Settings
from app.db.embedded import binaries

FILE = Path(__file__).parents[2] / "docker-compose.yml"
TEXT = FILE.read_text()
WHOLE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = WHOLE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "assay"}
SECRETS = re.compile(r"PASSWORD|SECRET|TOKEN|DATABASE__URL|EMAIL")
GIVEN = {
    "POSTGRES_PASSWORD": "5f1d2c3b4a",
    "ASSAY_AUTH__SECRET": "Qv7xW2mN9pRb4TzKc8LdYf3HgJs6Ua1EoXiV5Btn0ySDhPGk",
    "ASSAY_METRICS__TOKEN": "kX93hf82LqPz7Vb1Nw0sRt",
    "ASSAY_ADMIN_EMAIL": "ada@example.com",
    "ASSAY_ADMIN_PASSWORD": "a-long-first-password",
}


def interpolated(text: str) -> str:
    """As compose does it, with `GIVEN` as the environment."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        return GIVEN.get(name, default if kind == ":-" else "")

    return re.sub(r"\$\{(\w+)(:-|:\?)(.*?)\}(?=$|@|:\d)", value, str(text))


def test_is_what_compose_reads() -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    command = [checker, "--builtin-schema", "vendor.compose-spec", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_has_every_part() -> None:
    assert set(SERVICES) == {"migrate", "app", "worker", "postgres", "redis", "prometheus"}
    assert int(re.match(r"postgres:(\d+)", SERVICES["postgres"]["image"]).group(1)) >= 16  # type: ignore[union-attr]
    assert all(not service["image"].endswith(":latest") for service in SERVICES.values())


def test_no_secret_has_a_default() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if SECRETS.search(name):
                assert ":?" in value, name
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) == set(GIVEN)


@pytest.mark.parametrize("name", OURS)
class TestOurs:
    def test_is_given_settings_that_production_takes(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        given = {key: interpolated(value) for key, value in OURS[name]["environment"].items()}
        assert list(mistyped(given)) == []
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        settings = Settings(_env_file=None)
        assert settings.production
        assert settings.metrics.token is not None  # so Prometheus may call it by any name

    def test_is_given_every_other_setting_of_the_same_file(self, name: str) -> None:
        assert OURS[name]["env_file"] == [{"path": ".env", "required": False}]

    def test_keeps_what_holds_inside_whatever_the_file_says(self, name: str) -> None:
        """`ASSAY_PORT` there is the machine's; the folder and the address are the image's."""
        fixed = dict(re.findall(r"(ASSAY_\w+)=(\S+)", (FILE.parent / "Dockerfile").read_text()))
        fixed["ASSAY_PORT"] = SERVICES["app"]["ports"][0].rpartition(":")[2]
        assert set(fixed) == {"ASSAY_DATA_DIR", "ASSAY_HTTP__HOST", "ASSAY_PORT"}
        assert fixed.items() <= OURS[name]["environment"].items()

    def test_runs_a_command_of_ours(self, name: str) -> None:
        assert OURS[name]["command"][0] in COMMANDS

    def test_can_change_nothing_but_its_data(self, name: str) -> None:
        service = OURS[name]
        assert service["read_only"]
        assert service["init"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert (service["volumes"], service["tmpfs"]) == (["data:/data"], ["/tmp"])

    def test_waits_for_what_it_needs(self, name: str) -> None:
        awaited = OURS[name]["depends_on"]
        assert awaited
        for other, how in awaited.items():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]


def named(used: str | dict[str, Any]) -> str:
    """Of a service's secret or config, in its short form or its long one."""
    return used if isinstance(used, str) else str(used["source"])


@pytest.mark.parametrize("kind", ["secrets", "configs"])
def test_a_read_only_service_is_given_files_alone(kind: str) -> None:
    """What is no file compose copies into the container; into a read-only one it refuses to, and nothing starts."""
    made: dict[str, dict[str, Any]] = WHOLE.get(kind, {})
    for name, service in SERVICES.items():
        if service.get("read_only"):
            copied = [use for use in map(named, service.get(kind, ())) if "file" not in made[use]]
            assert copied == [], name


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_database_it_makes_is_one_that_production_takes(folder: Path) -> None:
    """Nobody comes in over TCP without a password, and a bad disk is noticed."""
    folder.chmod(0o777)
    initdb = [binaries() / "initdb", "-D", folder / "made", "-U", "assay", "--no-sync"]
    arguments = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    nobody = {"user": "nobody"} if os.geteuid() == 0 else {}
    made = subprocess.run(
        [*initdb, *arguments, f"--pwfile={password(folder)}"], capture_output=True, text=True, check=False, **nobody
    )
    assert made.returncode == 0, made.stderr
    rules = (folder / "made/pg_hba.conf").read_text()
    assert not re.search(r"^host\b.*\btrust$", rules, re.M)
    assert "Data page checksums are enabled" in made.stdout


def password(folder: Path) -> Path:
    file = folder / "password"
    file.write_text(GIVEN["POSTGRES_PASSWORD"])
    file.chmod(0o644)
    return file

"""`assay import` against a running server: what is in the file is in the tracker, once, whatever happens meanwhile."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.cli.importing.journal import SUFFIX
from tests.cli.running import EMAIL, PASSWORD, Running
from tests.support.room import room

N = 3000
SCOPES = ["models:read", "predictions:write", "labels:write", "data:import"]


class Tracker:
    """A server with an administrator, and a key for imports."""

    def __init__(self, running: Running) -> None:
        self.url = running.url
        form = {"username": EMAIL, "password": PASSWORD}
        token = httpx.post(f"{self.url}/api/v1/auth/token", data=form).raise_for_status().json()["access_token"]
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {token}"})
        made = self.client.post("/api-keys", json={"name": "import", "scopes": SCOPES}).raise_for_status()
        self.key: str = made.json()["key"]

    def set_up(self, model_id: str, **info: Any) -> None:
        body = {"model_info": {"model_id": model_id, **info}, "dataset_config": {}}
        self.client.post(f"/models/{model_id}/tracking/setup", json=body).raise_for_status()

    def counts(self, model_id: str) -> tuple[int, int]:
        """Predictions and those with a label."""
        answer = self.client.get("/analytics/performance/summary", params={"metrics": "accuracy"}).raise_for_status()
        (model,) = [model for model in answer.json()["models"] if model["model_id"] == model_id]
        return model["n"], model["labelled"]

    def command(self, kind: str, file: Path, model_id: str, *more: str) -> list[str]:
        where = ["--model", model_id, "--url", self.url, "--key", self.key]
        return [sys.executable, "-m", "app.cli", "import", kind, str(file), *where, *more]

    def load(self, kind: str, file: Path, model_id: str, *more: str) -> Result:
        """Runs it to its end, in this process."""
        return CliRunner().invoke(cli, self.command(kind, file, model_id, *more)[3:], catch_exceptions=False)


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    settings = {
        "ASSAY_ADMIN_EMAIL": EMAIL,
        "ASSAY_ADMIN_PASSWORD": PASSWORD,
        "ASSAY_LIMITS__ENABLED": "false",
        "ASSAY_LOG__LEVEL": "warning",
    }
    with room() as folder, Running(folder, "serve", **settings) as running:
        running.wait_until_ready()
        tracker = Tracker(running)
        yield tracker
        tracker.client.close()


def times(n: int) -> list[str]:
    return (np.datetime64("2026-01-01T00:00:00") + np.arange(n) * np.timedelta64(30, "s")).astype(str).tolist()


def scored(folder: Path, n: int = N) -> Path:
    file = folder / "scored.csv"
    rows = (
        f"p{row},{moment},{row % 100 / 100},{row},{'DE' if row % 3 else 'FR'}\n" for row, moment in enumerate(times(n))
    )
    file.write_text("id,event_time,probability,amount,segment.country\n" + "".join(rows))
    return file


class TestImport:
    def test_brings_in_a_csv_and_its_labels(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.set_up("csv")
        file = scored(tmp_path)
        done = tracker.load("predictions", file, "csv")
        assert done.exit_code == 0, done.stderr
        assert f"{N:,} accepted" in done.stderr
        assert tracker.counts("csv") == (N, 0)

        truth = tmp_path / "truth.csv"
        truth.write_text(
            "id,label,time\n" + "".join(f"p{row},{row % 2}.0,{moment}\n" for row, moment in enumerate(times(N)))
        )
        done = tracker.load("labels", truth, "csv")
        assert done.exit_code == 0, done.stderr
        assert f"{N:,} joined" in done.stderr
        assert tracker.counts("csv") == (N, N)

        again = tracker.load("predictions", file, "csv")
        assert f"{N:,} of {N:,} rows are in already" in again.stderr
        anew = tracker.load("predictions", file, "csv", "--again")
        assert f"{N:,} duplicates" in anew.stderr
        assert tracker.counts("csv") == (N, N)

    def test_goes_on_after_it_was_killed(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.set_up("killed")
        n = 20_000
        file = scored(tmp_path, n)
        journal = file.with_name(file.name + SUFFIX)
        with subprocess.Popen(
            tracker.command("predictions", file, "killed", "--batch", "200"), stderr=subprocess.DEVNULL
        ) as first:
            while first.poll() is None and not journal.exists():
                continue
            first.send_signal(signal.SIGKILL)
        (entry,) = msgspec.json.decode(journal.read_bytes()).values()
        assert 0 < entry["rows"] < n

        done = tracker.load("predictions", file, "killed")
        assert done.exit_code == 0, done.stderr
        assert f"{entry['rows']:,} of {n:,} rows are in already" in done.stderr
        assert tracker.counts("killed") == (n, 0)

    def test_brings_in_parquet_of_a_multiclass_model(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.set_up("parquet", task="multiclass", classes=["cat", "dog"])
        file = tmp_path / "scored.parquet"
        columns = {
            "inference_id": [f"p{row}" for row in range(N)],
            "timestamp": np.array(times(N), "datetime64[ms]"),
            "score_cat": [0.25] * N,
            "score_dog": [0.75] * N,
            "weight": [float("nan") if row % 7 == 0 else float(row) for row in range(N)],
        }
        pq.write_table(pa.table(columns), file)
        done = tracker.load("predictions", file, "parquet")
        assert done.exit_code == 0, done.stderr
        assert tracker.counts("parquet") == (N, 0)
        seen = tracker.client.get("/models/parquet/predictions/p8").raise_for_status().json()
        assert seen["predicted"] == "dog"
        assert seen["features"] == {"weight": 8.0}


class TestRefusals:
    def test_name_file_line_and_column(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.set_up("refused")
        file = tmp_path / "scored.csv"
        file.write_text("id,ts,score\na,2026-01-01T00:00:00Z,0.5\nb,2026-01-01T00:00:00Z,1.5\n")
        done = tracker.load("predictions", file, "refused")
        assert done.exit_code == 1
        assert f"{file}:3: column 'score'" in done.stderr
        assert tracker.counts("refused") == (0, 0)

    def test_a_conflict_is_told_and_changes_nothing(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.set_up("conflict")
        file = tmp_path / "scored.csv"
        file.write_text("id,ts,score\na,2026-01-01T00:00:00Z,0.5\nb,2026-01-01T00:00:00Z,0.5\n")
        assert tracker.load("predictions", file, "conflict").exit_code == 0
        file.write_text("id,ts,score\na,2026-01-01T00:00:00Z,0.5\nb,2026-01-01T00:00:00Z,0.6\n")
        done = tracker.load("predictions", file, "conflict")
        assert done.exit_code == 1
        assert f"{file}:3: 'b'" in done.stderr
        assert "1 duplicates, 1 conflicts" in done.stderr

    @pytest.mark.parametrize(
        ("model", "more", "said"),
        [
            ("nobody", (), "nobody"),
            ("refused", ("--key", "aqt_wrong"), "is not valid"),
            ("refused", ("--column", "score"), "--column NAME=COLUMN"),
            ("refused", ("--timezone", "Nowhere"), "Europe/Berlin"),
        ],
    )
    def test_say_what_is_wrong(
        self, tracker: Tracker, tmp_path: Path, model: str, more: tuple[str, ...], said: str
    ) -> None:
        done = tracker.load("predictions", scored(tmp_path, 3), model, *more)
        assert done.exit_code in {1, 2}
        assert said in done.stderr

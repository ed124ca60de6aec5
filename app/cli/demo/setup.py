"""The demo's model as the API is told of it: classes, features, what their distribution was in training, limits."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.cli.client import Client
from app.cli.demo.flights import Flights
from app.cli.demo.options import MODEL_ID

CHAMPION, CHALLENGER = "1", "2"
KINDS = {CHAMPION: "logistic regression", CHALLENGER: "gradient boosted trees"}
BINS = 20  # of equal counts, as drift measures over deciles do, twice as fine
THRESHOLD = 0.35  # catches about a third of the late flights; at 0.5 the models hardly ever say "late"
SCOPES = ("models:read", "models:write", "predictions:write", "labels:write", "data:import")


def make_key(client: Client, email: str, password: str) -> str:
    """An API key for the replay, limited to the demo's model; made by the admin."""
    grant = client.form("/auth/token", username=email, password=password)
    client.identify(grant["access_token"])
    made = client.post("/api-keys", {"name": "demo", "scopes": list(SCOPES), "models": [MODEL_ID]})
    return str(made["key"])


def set_up(client: Client, training: Flights) -> None:
    """Both versions, the first as champion; harmless to repeat."""
    for version in (CHAMPION, CHALLENGER):
        client.post(f"/models/{MODEL_ID}/tracking/setup", request(version, training), repeat=True)
    for alias, version in (("champion", CHAMPION), ("challenger", CHALLENGER)):
        client.put(f"/models/{MODEL_ID}/aliases/{alias}", {"version": version})


def request(version: str, training: Flights) -> dict[str, Any]:
    return {
        "model_info": {
            "model_id": MODEL_ID,
            "model_type": KINDS[version],
            "task": "binary",
            "classes": ["0", "1"],
            "positive_class": "1",
            "version": version,
            "training_data_hash": _digest(training),
        },
        "dataset_config": {
            "threshold": THRESHOLD,
            "schema": dict.fromkeys(training.categories, "category") | dict.fromkeys(training.numbers, "number"),
            "reference": {
                "features": {name: _names(column) for name, column in training.categories.items()}
                | {name: _edges(column) for name, column in training.numbers.items()}
            },
        },
        "monitoring_config": {
            "alert_thresholds": {"accuracy_drop": 0.05, "feature_drift": 0.2},
            "notification_channels": ["email"],
        },
    }


def _names(column: NDArray[np.str_]) -> dict[str, Any]:
    names, counts = np.unique(column, return_counts=True)
    return {"bins": names.tolist(), "counts": counts.tolist()}


def _edges(column: NDArray[np.float64]) -> dict[str, Any]:
    """Bins of about equal counts; fewer where a value is frequent, as zero is among the rainfalls."""
    known = column[~np.isnan(column)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)))
    counts, _ = np.histogram(known, edges)
    return {"bins": edges.tolist(), "counts": counts.tolist()}


def _digest(training: Flights) -> str:
    digest = hashlib.sha256(training.departs_at.tobytes())
    digest.update(training.late.tobytes())
    return digest.hexdigest()[:16]

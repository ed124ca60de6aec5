"""What to do next, as a command to copy: an empty page should never be a dead end."""

from dataclasses import dataclass

from app.analytics.answers import Panel

_HEADERS = "-H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json'"


@dataclass(frozen=True, slots=True)
class Step:
    """A command with what it is for."""

    title: str
    words: str
    path: str
    body: str

    def command(self, origin: str) -> str:
        return f"curl {origin}/api/v1{self.path} \\\n  {_HEADERS} \\\n  -d '{self.body}'"


def token(origin: str) -> str:
    """How to come by `$TOKEN`."""
    return f"curl {origin}/api/v1/auth/token -d 'username=you@example.com' -d 'password=…'"


def first(origin: str) -> str:
    body = '{"model_info": {"model_id": "my-model", "task": "binary", "version": "1"}}'
    setup = Step("", "", "/models/my-model/tracking/setup", body)
    return f"{token(origin)}\n\n{setup.command(origin)}"


def following(panel: Panel) -> Step | None:
    """Predictions where there are none, then labels; None once both have come."""
    if not panel.overall.n:
        return _predictions(panel)
    return None if panel.overall.labelled else _labels(panel)


def _predictions(panel: Panel) -> Step:
    value = '"predicted": 12.5' if panel.task == "regression" else '"predicted": "1", "score": 0.91'
    if panel.task == "multiclass":
        value = '"predicted": "1"'
    return Step(
        "Send the first predictions",
        "Up to 50,000 rows a request; sending a row again does no harm.",
        f"/models/{panel.model_id}/predictions",
        f'{{"predictions": [{{"prediction_id": "a", {value}}}]}}',
    )


def _labels(panel: Panel) -> Step:
    actual = "11.9" if panel.task == "regression" else '"1"'
    return Step(
        "Send what came true",
        "A label finds its prediction by the id, whenever it comes.",
        f"/models/{panel.model_id}/labels",
        f'{{"labels": [{{"prediction_id": "a", "actual": {actual}}}]}}',
    )

"""LOAD: a hundred users at once who send predictions and labels, look at trends and ask for a model's state."""

from datetime import UTC, datetime, timedelta

import numpy as np

from bench.bare import bare
from bench.load import Outcome, drive, request
from bench.report import Line, show
from bench.rows import Numbering, Rows
from bench.stage import Stage, database, served

USERS = 100
MODELS = 10
STORED = 10_000  # predictions of each model before the load begins, labelled
BATCH = 10  # rows of one request: a user's page of scores, not a batch job
ROUNDS = 30  # requests of one user
# How long each rests after an answer. People at a page and programs that poll ask once a second: LOAD is theirs. Those
# who never rest show what can be done in a second at most, beside an application that only stores what it is sent.
PAUSES_S = {"a request a second": 1.0, "three a second": 1 / 3, "no pause": 0.0}
GOOD = {200, 201}
MIX = ("predictions", "labels", "trends", "predictions", "status")  # what a user does, over and over


def run(*, full: bool) -> None:
    rounds = ROUNDS * (10 if full else 1)
    numbering = Numbering()
    with database() as server, served(server.url) as stage:
        key = stage.key("predictions:write", "labels:write")
        _prepare(stage, key, numbering)
        outcomes = {how: _load(stage, key, numbering, rounds, pause_s) for how, pause_s in PAUSES_S.items()}
        with bare(server.url) as port:
            limit = drive(port, _bare_requests(rounds), clients=USERS, expect=200)
    busy = outcomes["no pause"]
    show(
        f"LOAD, {USERS} users, {MODELS} models, {BATCH} rows a batch",
        [
            *(line for how, outcome in outcomes.items() for line in _lines(how, outcome)),
            Line(
                "no pause: requests a second",
                f"{busy.per_second:,.0f}",
                f"{limit.per_second:,.0f}",
                busy.per_second / limit.per_second,
            ),
            Line("no pause: p95 of the bare one", "", f"{limit.percentile(95):.0f} ms", None),
        ],
        "The lines of each kind are p50 / p95 / p99. The client is one more process on the same cores, so its own work "
        "is in these times. No limit is met. The limit: bare FastAPI that stores each body as it is, and counts 7 rows",
    )


def _prepare(stage: Stage, key: str, numbering: Numbering) -> None:
    for number in range(MODELS):
        stage.model(f"m{number}")
        rows = Rows(numbering.take(STORED), STORED, hours=24 * 7, seed=number)
        for path, body in (("predictions", rows.columns()), ("labels", rows.labels())):
            sent = request("POST", f"/api/v1/models/m{number}/{path}", key, body)
            drive(stage.port, [sent], clients=1, expect=201)


def _load(stage: Stage, key: str, numbering: Numbering, rounds: int, pause_s: float) -> Outcome:
    """Every user's requests, in turns."""
    sent = []
    rows: dict[int, Rows] = {}  # what a user sent last: its labels are the next that the user sends
    for turn in range(rounds):
        for user in range(USERS):
            model, what = f"m{user % MODELS}", MIX[(turn + user) % len(MIX)]
            if what == "predictions" or (what == "labels" and user not in rows):
                rows[user] = Rows(numbering.take(BATCH), BATCH)
                sent.append(request("POST", f"/api/v1/models/{model}/predictions", key, rows[user].rows()))
            elif what == "labels":
                sent.append(request("POST", f"/api/v1/models/{model}/labels", key, rows.pop(user).labels()))
            else:
                sent.append(request("GET", _looks(model)[what], stage.token))
    return drive(stage.port, sent, clients=USERS, expect={*GOOD, 503}, pause_s=pause_s)


def _bare_requests(rounds: int) -> list[bytes]:
    """The same mix: what is sent is stored, what is asked for is looked up."""
    body = Rows(1, BATCH).rows()
    sends, looks = request("POST", "/store", "none", body), request("GET", "/look", "none")
    turn = [sends if what in {"predictions", "labels"} else looks for what in MIX]
    return [turn[(number + user) % len(MIX)] for number in range(rounds) for user in range(USERS)]


def _looks(model: str) -> dict[str, str]:
    since = (datetime.now(UTC) - timedelta(days=7)).strftime("%Y-%m-%dT%H:00:00Z")
    return {
        "trends": f"/api/v1/analytics/trends/{model}?metric=accuracy&interval=hour&from={since}",
        "status": f"/api/v1/models/{model}/lifecycle/status",
    }


def _lines(how: str, outcome: Outcome) -> list[Line]:
    tail, promised = outcome.percentile(95), PAUSES_S[how] >= 1
    rate = f"{outcome.per_second:,.0f} req/s"
    errors = sum(number for status, number in outcome.statuses.items() if status not in GOOD)
    lines = [
        Line(f"{how}: p95", f"{tail:.0f} ms, {rate}", "", tail, 100 if promised else None, at_most=True),
        Line(f"{how}: errors", f"{errors:,} of {len(outcome.latencies_ms):,}", "", errors, 0, at_most=True),
    ]
    for what in dict.fromkeys(MIX):
        latencies = [each for where, all_ in outcome.by_address.items() if f"/{what}" in where for each in all_]
        figures = " / ".join(f"{np.percentile(latencies, share):.0f}" for share in (50, 95, 99))
        lines.append(Line(f"  {what}", f"{figures} ms", "", None))
    return lines

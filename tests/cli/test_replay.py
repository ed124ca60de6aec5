"""The demo's year as requests: everything once, in order, nothing before it can be known."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from app.cli.demo import state as states
from app.cli.demo.flights import NEVER, Flights
from app.cli.demo.replay import Traffic, replay
from app.cli.demo.state import WEEK, State, whole_weeks
from app.core.clock import DAY, HOUR, MINUTE, from_datetime, to_datetime

START = from_datetime(datetime(2013, 3, 1, 5, tzinfo=UTC))
N = 400
DAYS = 5


@pytest.fixture
def flights() -> Flights:
    random = np.random.default_rng(7)
    departs_at = np.sort(START + random.integers(0, DAYS * 24 * 60, N) * MINUTE)
    landed_at = np.where(random.random(N) < 0.1, NEVER, departs_at + random.integers(30, 600, N) * MINUTE)
    return Flights(
        np.array([f"f{row}" for row in range(N)]),
        departs_at,
        landed_at,
        (landed_at != NEVER) & (random.random(N) < 0.3),
        {"carrier": random.choice(np.array(["AA", "UA"]), N), "origin": random.choice(np.array(["JFK", "LGA"]), N)},
        {"temp": np.where(random.random(N) < 0.2, np.nan, random.random(N))},
    )


@pytest.fixture
def traffic(flights: Flights) -> Traffic:
    scores = {"1": np.full(N, 0.25), "2": np.full(N, 0.75)}
    return Traffic.of(flights, scores, 0.2, 2 * WEEK)


class Recorder:
    """A client that keeps what it is given; the sum of the steps must be the year."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def post(self, path: str, body: dict[str, Any], *, repeat: bool) -> dict[str, Any]:
        assert repeat
        assert body["import"] is True
        self.sent.append((path.rsplit("/", 1)[1], body["columns"]))
        return {}

    def rows(self, kind: str, field: str) -> list[Any]:
        return [value for path, columns in self.sent if path == kind for value in columns[field]]


class Stopwatch:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def run(traffic: Traffic, start: int, speed: float = 1.0, client: Recorder | None = None) -> tuple[Recorder, list[Any]]:
    client, watch = client or Recorder(), Stopwatch()
    steps = list(replay(client, traffic, start, speed, now=watch.now, sleep=watch.sleep))  # type: ignore[arg-type]
    return client, [*steps, watch.time]


class TestReplay:
    @pytest.mark.parametrize("speed", [0.2, 1, 30])
    def test_sends_every_flight_and_every_label_once(self, traffic: Traffic, flights: Flights, speed: float) -> None:
        client, _ = run(traffic, traffic.begins, speed)
        assert sorted(client.rows("predictions", "prediction_id")) == sorted(flights.ids.tolist())
        landed = flights.ids[flights.landed_at != NEVER]
        assert sorted(client.rows("labels", "prediction_id")) == sorted(landed.tolist())

    def test_a_label_follows_its_prediction(self, traffic: Traffic) -> None:
        client, _ = run(traffic, traffic.begins)
        predicted: set[str] = set()
        for kind, columns in client.sent:
            if kind == "predictions":
                predicted.update(columns["prediction_id"])
            else:
                assert predicted.issuperset(columns["prediction_id"])

    def test_the_label_says_whether_it_was_late_and_when_it_landed(self, traffic: Traffic, flights: Flights) -> None:
        client, _ = run(traffic, traffic.begins)
        found = {
            identity: (actual, moment)
            for identity, actual, moment in zip(
                client.rows("labels", "prediction_id"),
                client.rows("labels", "actual"),
                client.rows("labels", "timestamp"),
                strict=True,
            )
        }
        for row in range(0, N, 37):
            if flights.landed_at[row] != NEVER:
                actual, moment = found[flights.ids[row]]
                assert actual == ("1" if flights.late[row] else "0")
                landed = to_datetime(int(flights.landed_at[row]) + 2 * WEEK)
                assert datetime.fromisoformat(moment) == landed

    def test_goes_on_where_it_stopped(self, traffic: Traffic) -> None:
        whole, _ = run(traffic, traffic.begins)
        first, watch = Recorder(), Stopwatch()
        steps = replay(first, traffic, traffic.begins, 1, now=watch.now, sleep=watch.sleep)  # type: ignore[arg-type]
        position = [next(steps).position_us for _ in range(7)][-1]
        rest, _ = run(traffic, position, client=first)
        for kind in ("predictions", "labels"):
            assert rest.rows(kind, "prediction_id") == whole.rows(kind, "prediction_id")

    def test_keeps_to_the_speed(self, traffic: Traffic) -> None:
        _, (*_, seconds) = run(traffic, traffic.begins, speed=2.0)
        days = (traffic.ends - traffic.begins) / DAY
        assert seconds == pytest.approx(days / 2, abs=0.5)

    def test_a_part_of_the_traffic_is_the_challengers(self, traffic: Traffic) -> None:
        client, _ = run(traffic, traffic.begins)
        versions, scores = client.rows("predictions", "version"), client.rows("predictions", "score")
        assert 0.1 < versions.count("2") / N < 0.3
        assert {(version, score) for version, score in zip(versions, scores, strict=True)} == {("1", 0.25), ("2", 0.75)}

    def test_a_missing_number_is_null(self, traffic: Traffic) -> None:
        client, _ = run(traffic, traffic.begins)
        temperatures = [value for _, columns in client.sent for value in columns.get("features", {}).get("temp", ())]
        assert temperatures.count(None) > 0
        assert all(value is None or value == value for value in temperatures)  # noqa: PLR0124  NaN differs from itself


class TestState:
    def test_the_year_ends_in_the_week_before_now_with_its_weekdays(self) -> None:
        last, now = START + 17 * HOUR, START + 400 * DAY
        shift = whole_weeks(last, now)
        assert shift % WEEK == 0
        assert now - WEEK < last + shift <= now

    def test_is_kept_from_others_eyes(self, tmp_path) -> None:
        assert states.read(tmp_path) is None
        states.write(tmp_path / "demo", State(WEEK, START, "aqt_key"))
        assert states.read(tmp_path / "demo") == State(WEEK, START, "aqt_key")
        assert (tmp_path / "demo/state.json").stat().st_mode & 0o077 == 0

    def test_a_broken_file_is_no_state(self, tmp_path) -> None:
        (tmp_path / "state.json").write_text('{"shift_us":')
        assert states.read(tmp_path) is None

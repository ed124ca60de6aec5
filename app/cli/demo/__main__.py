"""The demo as a process of its own: `assay demo` and `assay run` start it, so that no server loads scikit-learn.

Reads the flights, fits both models on January and February, sets them up and replays March to December.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.client import Client, Refused, Unreachable
from app.cli.console import attached, fail, note, notes
from app.cli.demo import state as states
from app.cli.demo.fit import scores
from app.cli.demo.flights import TRAINED_UNTIL, Flights, FlightsMissingError, load
from app.cli.demo.options import MODEL_ID, SPEED, Speed
from app.cli.demo.replay import Sent, Traffic, replay
from app.cli.demo.setup import make_key, set_up
from app.cli.demo.state import State
from app.cli.stopping import in_order
from app.core.clock import DAY, SystemClock, to_datetime

CHALLENGER_SHARE = 0.2  # enough labels a day for the second version's interval to be worth drawing
LINE_EVERY_S = 10.0  # where nobody watches
NICE = 5  # the server goes first


def main(url: str, folder: Path, speed: Speed = SPEED) -> None:
    """Replays the year on the server at `url`; `folder` keeps where it was."""
    parent = os.getppid()
    os.nice(NICE)
    try:
        with in_order(), closing(Client(url)) as client:
            _demo(client, folder, speed, parent)
    except FlightsMissingError as problem:
        fail(str(problem))
    except Unreachable as problem:
        fail(f"the demo stops: {problem}; `assay demo` goes on where it was")
    except Refused as refusal:
        fail(f"the demo stops, {url} refused: {refusal}")


def _demo(client: Client, folder: Path, speed: float, parent: int) -> None:
    note("Demo: a year of flights from New York; reading it and fitting two models ...")
    year = load()
    training, rest = _split(year)
    traffic_scores = scores(training, rest, folder / "scores.npz")
    state = states.read(folder) or State(_shift(rest), 0)
    if not _welcome(client, state):
        state = State(state.shift_us, 0, _new_key(client))
        set_up(client, training)  # still as the admin: to name a champion takes a right that no key has
    client.identify(state.key)
    traffic = Traffic.of(rest, traffic_scores, CHALLENGER_SHARE, state.shift_us)
    start = max(state.position_us, traffic.begins)
    if start >= traffic.ends:
        note(f"The demo's year is all in; `assay demo --again` sends it anew (harmless). Its model: {MODEL_ID}")
        return
    state.position_us = start
    states.write(folder, state)
    with _progress(traffic, start) as show:
        for sent in replay(client, traffic, start, speed):
            if os.getppid() != parent:
                return  # who started us was killed, and nobody else would end us
            state.position_us = sent.position_us
            states.write(folder, state)
            show(sent)
    note("The replay has reached its end: a year of predictions, and every label whose flight landed.")


def _split(year: Flights) -> tuple[Flights, Flights]:
    cut = int(np.searchsorted(year.departs_at, TRAINED_UNTIL))
    return year.take(slice(0, cut)), year.take(slice(cut, None))


def _shift(flights: Flights) -> int:
    last = max(int(flights.landed_at.max()), int(flights.departs_at[-1]))
    return states.whole_weeks(last, SystemClock().now_us())


def _welcome(client: Client, state: State) -> bool:
    """Whether the server still knows the key of an earlier start; a new database knows neither key nor flights."""
    if not state.key:
        return False
    client.identify(state.key)
    try:
        client.get(f"/models/{MODEL_ID}")
    except Refused as refusal:
        if refusal.status in {401, 403}:
            return False
        if refusal.status == 404:
            state.position_us = 0
            return True
        raise
    return True


def _new_key(client: Client) -> str:
    email, password = os.environ.get("ASSAY_ADMIN_EMAIL"), os.environ.get("ASSAY_ADMIN_PASSWORD")
    if not email or not password:
        fail("the demo needs an admin once, to make its API key: set ASSAY_ADMIN_EMAIL and ASSAY_ADMIN_PASSWORD")
    return make_key(client, email, password)


@contextmanager
def _progress(traffic: Traffic, start: int) -> Iterator[Callable[[Sent], None]]:
    """A bar for a person, else a line now and then."""
    if not attached():
        yield _lines()
        return
    days = (traffic.ends - traffic.begins) / DAY
    columns = (
        TextColumn("Demo {task.fields[day]}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:>9,} flights, {task.fields[labels]:,} labels"),
        TimeRemainingColumn(),
    )
    rows = labels = 0
    with Progress(*columns, console=notes) as bar:
        task = bar.add_task("", total=days, day=_day(start), rows=0, labels=0)
        bar.update(task, completed=(start - traffic.begins) / DAY)

        def show(sent: Sent) -> None:
            nonlocal rows, labels
            rows, labels = rows + sent.predictions, labels + sent.labels
            done = (sent.position_us - traffic.begins) / DAY
            bar.update(task, completed=done, day=_day(sent.position_us), rows=rows, labels=labels)

        yield show


def _lines() -> Callable[[Sent], None]:
    rows = labels = 0
    last = time.monotonic()

    def show(sent: Sent) -> None:
        nonlocal rows, labels, last
        rows, labels = rows + sent.predictions, labels + sent.labels
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            note(f"Demo: at {_day(sent.position_us)}, {rows:,} flights and {labels:,} labels sent")

    return show


def _day(moment: int) -> str:
    return f"{to_datetime(moment):%Y-%m-%d}"


if __name__ == "__main__":
    typer.run(main)
    sys.exit(0)

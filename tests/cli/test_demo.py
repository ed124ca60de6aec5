"""The demo against a running server: stopped and started again it has sent every flight once."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from app.cli.demo.flights import NEVER, TRAINED_UNTIL, load
from app.cli.demo.options import MODEL_ID
from app.cli.demo.state import State
from app.core.clock import DAY, SystemClock
from tests.cli.running import EMAIL, PASSWORD, Running

ADMIN = {"ASSAY_ADMIN_EMAIL": EMAIL, "ASSAY_ADMIN_PASSWORD": PASSWORD}


def state(folder: Path) -> State | None:
    try:
        return msgspec.json.decode((folder / "data/demo/state.json").read_bytes(), type=State)
    except FileNotFoundError:
        return None


def moved(folder: Path, position_us: int) -> bool:
    now = state(folder)
    return now is not None and now.position_us > position_us


def has_sent_all_before(reached: State, server: Running) -> None:
    """Everything before the state's moment is in; a step that was cut short may have brought a little more."""
    year = load()
    replayed = year.take(year.departs_at >= TRAINED_UNTIL)
    moment = reached.position_us - reached.shift_us
    sent = int((replayed.departs_at < moment).sum())
    sent_at_most = int((replayed.departs_at < moment + 30 * DAY).sum())
    landed = int(((replayed.landed_at != NEVER) & (replayed.landed_at < moment)).sum())
    assert replayed.landed_at.max() + reached.shift_us <= SystemClock().now_us()

    form = {"username": EMAIL, "password": PASSWORD}
    with httpx.Client(base_url=f"{server.url}/api/v1", timeout=30) as client:
        token = client.post("/auth/token", data=form).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        assert client.get(f"/models/{MODEL_ID}").json()["aliases"] == {"challenger": "2", "champion": "1"}
        trend = client.get(f"/analytics/trends/{MODEL_ID}", params={"metric": "accuracy", "interval": "day"})
    points = trend.raise_for_status().json()["points"]
    n, labelled = (sum(point[name] for point in points) for name in ("n", "labelled"))
    assert sent <= n <= sent_at_most
    assert landed <= labelled <= n


@pytest.fixture
def server(folder: Path) -> Iterator[Running]:
    with Running(folder, "serve", **ADMIN, ASSAY_LOG__LEVEL="warning") as running:
        running.wait_until_ready()
        yield running


def replayed_for_some_steps(folder: Path, server: Running, number: int, **settings: str) -> State:
    """Starts the demo, lets it send a little, ends it by a signal; its state then."""
    with Running(folder, "demo", "--url", server.url, "--speed", "30", **settings) as demo:
        before = state(folder)
        demo.wait_for(lambda: moved(folder, before.position_us if before else 0))
        begun = state(folder)
        assert begun is not None
        demo.wait_for(lambda: moved(folder, begun.position_us))
        demo.signal_group(number)
        assert demo.process.wait(30) == 0
        assert "Traceback" not in demo.output()
    reached = state(folder)
    assert reached is not None
    return reached


class TestDemo:
    def test_sends_what_its_state_says(self, folder: Path, server: Running) -> None:
        reached = replayed_for_some_steps(folder, server, signal.SIGTERM, **ADMIN)
        has_sent_all_before(reached, server)

    @pytest.mark.long
    def test_goes_on_where_it_was_stopped_without_a_password(self, folder: Path, server: Running) -> None:
        stopped = replayed_for_some_steps(folder, server, signal.SIGTERM, **ADMIN)
        reached = replayed_for_some_steps(folder, server, signal.SIGINT)
        assert reached.position_us > stopped.position_us
        assert reached.shift_us == stopped.shift_us
        has_sent_all_before(reached, server)

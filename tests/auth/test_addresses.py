"""What limits by address take for one address."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.auth.limits import network_of
from app.core.clock import FrozenClock
from app.core.settings import LimitsSettings, Settings
from app.db.engine import Database
from app.main import create_app
from tests.support.http import bearer, client_from, running


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock, database: Database) -> AsyncIterator[FastAPI]:
    limits = LimitsSettings(default="20/minute", login_per_address="20/minute", failed_per_address="5/minute")
    limited = settings.model_copy(update={"limits": limits})
    async with running(create_app(limited, clock=clock, database=database)) as started:
        yield started


class TestAnAddress:
    @pytest.mark.parametrize(
        ("client", "counted"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:0:1::7", "2001:db8:0:1::"),
            ("2001:DB8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::"),
            ("2001:db8:0:2::7", "2001:db8:0:2::"),
            ("fe80::1%eth0", "fe80::"),
            ("", ""),
            ("unix:", "unix:"),
        ],
    )
    def test_of_ipv6_is_the_network_of_which_a_host_has_all(self, client: str, counted: str) -> None:
        assert network_of(client) == counted

    async def test_does_not_change_by_another_of_the_same_host(self, app: FastAPI) -> None:
        """By tries to log in, by guesses at keys, and where nobody says who asks; another network goes on."""
        tried, guessed, refreshed = [], [], []
        for n in range(24):
            async with client_from(app, f"2001:db8:0:1::{n:x}") as host:
                form = {"username": f"u{n}@example.com", "password": "wrong"}
                tried.append((await host.post("/auth/token", data=form)).status_code)
                guess = bearer("aqt_abcdefghijk2_" + f"{n:043}")
                guessed.append((await host.get("/models", headers=guess)).status_code)
                refreshed.append((await host.post("/auth/refresh")).status_code)
        assert (tried, guessed) == ([401] * 20 + [429] * 4, [401] * 5 + [429] * 19)
        assert refreshed == tried
        async with client_from(app, "2001:db8:0:2::1") as other:
            assert (await other.post("/auth/token", data=form)).status_code == 401
            assert (await other.get("/models", headers=guess)).status_code == 401

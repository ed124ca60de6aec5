"""A process whose clock is wrong, and a clock that jumps: rows are ordered by the database's, answers stay answers."""

from collections import Counter

import pytest
from fastapi import FastAPI

from app.core.clock import SECOND, FrozenClock, SystemClock
from app.core.settings import Settings
from app.db.engine import Database
from app.main import create_app
from tests.faults import ledger
from tests.support.counts import Counts
from tests.support.http import Identities, bearer, client_of, running

HOUR_S = 3600.0
SKEWS_S = [0.1, -0.1, 30.0, -30.0, 600.0, -600.0, HOUR_S, -HOUR_S]


class SkewedClock(SystemClock):
    """The wall clock of a machine that nobody has set right."""

    def __init__(self) -> None:
        self.skew_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + round(self.skew_s * SECOND)


@pytest.mark.fault("F17")
class TestSkew:
    async def test_of_a_process_reaches_neither_rows_nor_answers(
        self, settings: Settings, database: Database, counts: Counts
    ) -> None:
        unlimited = settings.model_copy(update={"limits": settings.limits.model_copy(update={"enabled": False})})
        clock, statuses, known = SkewedClock(), Counter[int](), []
        async with running(create_app(unlimited, clock=clock, database=database)) as app:
            identities = Identities(app)
            key = await identities.key("predictions:write", "labels:write", "models:read", "analytics:read")
            async with client_of(app, **bearer(await identities.user("admin"))) as admin:
                await ledger.set_up(admin, "m1")
            async with client_of(app, **bearer(key)) as client:
                for number, skew_s in enumerate(SKEWS_S):
                    clock.skew_s = skew_s
                    name = f"p{number}"
                    row, label = {"prediction_id": name, "score": 0.9}, {"prediction_id": name, "actual": "1"}
                    for answer in (
                        await client.post("/models/m1/predictions", json={"predictions": [row]}),
                        await client.post("/models/m1/labels", json={"labels": [label]}),
                        seen := await client.get(f"/models/m1/predictions/{name}"),
                        trend := await client.get("/analytics/trends/m1?interval=hour"),
                        await client.get(f"/analytics/trends/m1?as_of={seen.json()['known_at']}"),
                        await client.get("/analytics/dashboard/data?model=m1"),
                    ):
                        statuses[answer.status_code] += 1
                    known.append(seen.json()["known_at"])
                    counts.holds(f"{number + 1} counted at {skew_s:+g} s", is_so=_counted(trend) == (number + 1,) * 2)
        counts.none("other answers than 2xx", set(statuses) - {200, 201})
        counts.none("rows known before those that came before them", int(known != sorted(known)))
        counts.judge()

    async def test_makes_tokens_invalid_and_nothing_else(
        self, app: FastAPI, clock: FrozenClock, counts: Counts
    ) -> None:
        """Both ways by half a minute they hold; by an hour they don't, and logging in again helps at once."""
        identities = Identities(app)
        token = await identities.user("viewer")
        expected = {29.0: 200, -29.0: 200, 2 * HOUR_S: 401, -2 * HOUR_S: 401}
        for jump_s, status in expected.items():
            clock.advance(seconds=jump_s)
            async with client_of(app, **bearer(token)) as client:
                counts.holds(f"{status} at {jump_s:+g} s", is_so=(await client.get("/auth/me")).status_code == status)
            async with client_of(app, **bearer(await identities.user("viewer"))) as client:
                counts.holds(f"a new one at {jump_s:+g} s", is_so=(await client.get("/auth/me")).status_code == 200)
            clock.advance(seconds=-jump_s)
        counts.judge()


@pytest.mark.fault("F17")
class TestJump:
    async def test_of_the_clock_that_stamps_rows_loses_and_doubles_nothing(
        self, app: FastAPI, clock: FrozenClock, counts: Counts
    ) -> None:
        statuses: Counter[int] = Counter()
        async with client_of(app, **bearer(await Identities(app).key("predictions:write", "analytics:read"))) as client:
            async with client_of(app, **bearer(await Identities(app).user("admin"))) as admin:
                await ledger.set_up(admin, "m1")
            for number, jump_s in enumerate([0.0, *SKEWS_S]):
                clock.advance(seconds=jump_s)
                rows = [{"prediction_id": f"p{number}-{row}", "score": 0.5} for row in range(5)]
                statuses[(await client.post("/models/m1/predictions", json={"predictions": rows})).status_code] += 1
                statuses[(await client.post("/models/m1/predictions", json={"predictions": rows})).status_code] += 1
                statuses[(await client.get("/analytics/trends/m1?interval=hour")).status_code] += 1
            clock.advance(seconds=2 * HOUR_S)  # past all of them
            trend = await client.get("/analytics/trends/m1?interval=hour")
        counts.none("other answers than 2xx", set(statuses) - {200, 201})
        counts.none("predictions lost or doubled", trend.json()["overall"]["n"] - 5 * (len(SKEWS_S) + 1))
        counts.judge()


def _counted(trend: object) -> tuple[int, int]:
    overall = trend.json()["overall"]  # type: ignore[attr-defined]
    return overall["n"], overall["labelled"]

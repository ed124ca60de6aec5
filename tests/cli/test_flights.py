"""What the demo reads and what its model may know; times and features from a few flights written by hand."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from app.cli.demo.flights import NEVER, Flights, folder, load
from app.core.clock import from_datetime

HEAD = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
HEAD += "origin,dest,air_time,distance,hour,minute,time_hour\n"
WEATHER = """\
origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour
JFK,2013,7,1,9,80,60,50,180,10,NA,0,NA,10,2013-07-01T13:00:00Z
JFK,2013,7,1,10,90,60,50,180,10,NA,0,1010,9,2013-07-01T14:00:00Z
"""


def flight(number: int, scheduled: str, left: str, air: str, late: str, origin: str = "JFK") -> str:
    hour, minute = int(scheduled[:2]), int(scheduled[2:])
    stamp = f"2013-07-01T{hour + 4:02d}:00:00Z"  # summer time in New York
    return (
        f"2013,7,1,NA,{hour * 100 + minute},{left},NA,NA,{late},UA,{number},N1,{origin},SFO,{air},2586,"
        f"{hour},{minute},{stamp}\n"
    )


@pytest.fixture
def flights(tmp_path: Path) -> Flights:
    rows = (
        flight(3, "1030", "0", "100", "16"),
        flight(1, "0900", "30", "60", "15"),
        flight(2, "0930", "10", "NA", "NA"),  # diverted: it left and never landed where it should
        flight(4, "1100", "NA", "NA", "NA"),  # cancelled
        flight(5, "1030", "0", "100", "0", origin="LGA"),
    )
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", HEAD + "".join(rows))
    (tmp_path / "weather.csv").write_text(WEATHER)
    return load(tmp_path)


def at(hour: int, minute: int) -> int:
    return from_datetime(datetime(2013, 7, 1, hour + 4, minute, tzinfo=UTC))


class TestFlights:
    def test_come_in_the_order_of_the_timetable(self, flights: Flights) -> None:
        assert flights.departs_at.tolist() == [at(9, 0), at(9, 30), at(10, 30), at(10, 30), at(11, 0)]
        assert flights.ids[0] == "2013-07-01-UA1-JFK-0900"

    def test_land_after_their_delay_the_way_to_the_runway_and_the_flight(self, flights: Flights) -> None:
        assert flights.landed_at.tolist() == [at(10, 50), NEVER, at(12, 30), at(12, 30), NEVER]

    def test_are_late_from_the_sixteenth_minute_on(self, flights: Flights) -> None:
        assert flights.late.tolist() == [False, False, True, False, False]

    def test_know_the_weather_of_the_hour_before(self, flights: Flights) -> None:
        np.testing.assert_array_equal(flights.numbers["temp"], [np.nan, np.nan, 80, np.nan, 90])
        np.testing.assert_array_equal(flights.numbers["pressure"], [np.nan, np.nan, np.nan, np.nan, 1010])

    def test_know_how_late_others_left_there_lately(self, flights: Flights) -> None:
        # At 10:30 two had left Kennedy (9:30 and 9:40); at 11:00 also the one of 10:30. Nobody had left La Guardia.
        np.testing.assert_allclose(flights.numbers["recent_delay"], [np.nan, np.nan, 20, np.nan, 40 / 3])


class TestTheYear:
    def test_is_the_published_one(self) -> None:
        year = load(folder())
        assert len(year) == len(set(year.ids.tolist())) == 336_776
        assert (year.landed_at == NEVER).sum() == 9_430
        assert (np.diff(year.departs_at) >= 0).all()
        landed = year.landed_at != NEVER
        assert (year.landed_at[landed] > year.departs_at[landed]).all()

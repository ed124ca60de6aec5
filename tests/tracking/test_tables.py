"""The tables of the hot path: places carry their day, rows fall into the partition of their arrival."""

import pytest

from app.core.clock import DAY, SECOND, SystemClock, from_datetime
from app.db.engine import Database
from app.tracking.arrival import Arrival, day_of, first_block, first_place, split
from tests.support.times import NOON

NOW = from_datetime(NOON)


class TestPlaces:
    def test_a_place_names_its_block_and_row(self) -> None:
        arrival = Arrival(xid=7, us=NOW, sequence=70_000)
        assert split(arrival.first_place + 513) == (arrival.block_id, 513)
        assert arrival.block_id & 0xFFFF == 70_000 % 65_536

    @pytest.mark.parametrize("later", [SECOND, DAY, 400 * DAY])
    def test_places_are_ordered_by_arrival_whatever_the_sequence_says(self, later: int) -> None:
        assert Arrival(1, NOW, 65_535).first_place < Arrival(2, NOW + later, 0).first_place

    def test_the_bounds_of_a_day_hold_all_its_places(self) -> None:
        start = NOW // DAY * DAY
        last = Arrival(1, start + DAY - 1, 65_535)
        assert first_place(start) <= last.first_place + 65_535 < first_place(start + DAY)
        assert first_block(start) <= last.block_id < first_block(start + DAY)


class TestPartitions:
    async def test_today_has_its_own(self, database: Database) -> None:
        now = SystemClock().now_us()
        async with database.transaction() as connection:
            for table, column in (("block", "block_id"), ("label", "place"), ("delta", "known_at")):
                name = await connection.fetchval(f"select to_regclass('{table}_{day_of(now)}')::text")
                assert name == f"{table}_{day_of(now)}", column

    async def test_a_day_without_partitions_goes_to_the_default(self, database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(
                "insert into block (block_id, model_no, n, known_from, known_to, format, body)"
                " values ($1, 1, 0, now(), now(), 1, '')",
                first_block(NOW),
            )
            assert await connection.fetchval("select count(*) from block_default") == 1

"""The chain over the audit: what was done to closed rows is found, and the row is named."""

import asyncio
import tracemalloc
from datetime import datetime, timedelta

import asyncpg
import pytest

from app.audit import repository
from app.audit.chain import START, Finding, SealingKeys, digest_of
from app.audit.service import AuditChain, UnknownSecretError
from app.core.clock import FrozenClock, to_datetime
from app.core.exchange import acting
from app.db import audit
from app.db.engine import Database
from app.db.tables.audit import AuditLinkTable
from tests.support.times import NOON

KEY = b"k" * 32
OTHER = SealingKeys(b"n" * 32)
HOURS = 3
ROWS = 5


@pytest.fixture
async def chain(database: Database, clock: FrozenClock) -> AuditChain:
    """Three closed hours of five rows each, and two rows of the hour that goes on."""
    made = AuditChain(database, clock, SealingKeys(KEY))
    for rows in (*[ROWS] * HOURS, 2):
        await write(database, clock, rows)
        if rows == ROWS:
            clock.advance(seconds=3600)
    assert await made.close_hours() == HOURS
    return made


async def write(database: Database, clock: FrozenClock, rows: int) -> None:
    for n in range(rows):
        clock.advance(seconds=1)
        async with database.write() as session:
            with acting("user:1"):
                at = to_datetime(clock.now_us())
                await audit.record(session, at, "user.change", f"user:{n}", before={"n": n}, after={"n": -n}, role="ü")


async def tamper(database: Database, *statements: str) -> None:
    """As somebody who owns the tables can."""
    async with database.transaction() as connection:
        for table in ("audit", "audit_link"):
            await connection.execute(f"alter table {table} disable trigger user")
        for statement in statements:
            await connection.execute(statement)
        for table, trigger in (("audit", "numbered"), ("audit", "kept"), ("audit_link", "kept")):
            await connection.execute(f"alter table {table} enable always trigger {trigger}")


def hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


class TestUntouched:
    async def test_is_as_it_was(self, chain: AuditChain) -> None:
        report = await chain.verify()
        assert report.findings == ()
        assert (report.rows, len(report.digests), report.still_open) == (15, 3, 2)

    async def test_an_hour_that_goes_on_is_not_closed(self, chain: AuditChain, clock: FrozenClock) -> None:
        assert await chain.close_hours() == 0
        clock.advance(seconds=3600)
        assert await chain.close_hours() == 1
        assert (await chain.verify()).still_open == 0

    async def test_hours_without_rows_need_no_link(self, chain: AuditChain, clock: FrozenClock) -> None:
        clock.advance(seconds=50 * 3600)
        assert await chain.close_hours() == 1

    async def test_a_row_that_comes_with_an_earlier_time_is_closed_with_the_next(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """Its transaction took the time before the hour ended, and ended after that was closed."""
        late = FrozenClock(clock.now_us())
        late.advance(seconds=-7200)
        await write(database, late, 1)
        clock.advance(seconds=3600)
        assert await chain.close_hours() == 1
        report = await chain.verify()
        assert (report.findings, report.rows) == ((), 18)

    async def test_many_who_close_at_once_close_each_hour_once(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        clock.advance(seconds=3600)
        assert sum(await asyncio.gather(*(chain.close_hours() for _ in range(3)))) == 1

    async def test_a_transaction_under_way_is_waited_for(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """Its row has a number already; an hour closed without it would have it put in afterwards."""
        async with database.write() as session:
            await audit.record(session, to_datetime(clock.now_us()), "user.change", "user:9")
            clock.advance(seconds=3600)
            closing = asyncio.create_task(chain.close_hours())
            await asyncio.sleep(0.1)
            assert not closing.done()
        assert await closing == 1
        report = await chain.verify()
        assert (report.findings, report.rows, report.still_open) == ((), 18, 0)


MANY = 4_000  # an hour of somebody who tries passwords


async def test_an_hour_of_many_rows_needs_little_memory(database: Database, clock: FrozenClock) -> None:
    chain = AuditChain(database, clock, SealingKeys(KEY))
    async with database.connection() as connection:
        await connection.execute(
            "insert into audit (at, actor, action, object, outcome, details) "
            "select $1, 'anonymous', 'auth.log_in', 'user:' || n, 'refused', '{}' from generate_series(1, $2::int) n",
            to_datetime(clock.now_us()),
            MANY,
        )
    clock.advance(seconds=7200)
    tracemalloc.start()
    try:
        assert await chain.close_hours() == 1
        assert (await chain.verify()).rows == MANY
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 5 << 20, "all rows at once take 8 MiB"


class TestAClockThatRanAhead:
    async def test_does_not_hold_up_what_others_write(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """Its row goes into the next link."""
        ahead = FrozenClock(clock.now_us())
        ahead.advance(seconds=365 * 86_400)
        await write(database, ahead, 1)
        for _ in range(3):
            await write(database, clock, 2)
            clock.advance(seconds=3600)
            assert await chain.close_hours() == 1
        report = await chain.verify()
        assert (report.findings, report.rows, report.still_open) == ((), 24, 0)

    async def test_nor_where_it_closed_hours_itself(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        ahead = FrozenClock(clock.now_us())
        ahead.advance(seconds=9000)
        await write(database, ahead, 1)
        ahead.advance(seconds=3600)
        assert await AuditChain(database, ahead, SealingKeys(KEY)).close_hours() == 2
        for _ in range(6):  # until after the hour that it named
            await write(database, clock, 2)
            clock.advance(seconds=3600)
            assert await chain.close_hours() == 1
            assert await chain.close_hours() == 0
        report = await chain.verify()
        assert (report.findings, report.rows, report.still_open) == ((), 30, 0)
        async with database.connection() as connection:
            named = [row["hour"] for row in await connection.fetch("select hour from audit_link order by number")]
        assert named == sorted(named)
        assert named[-1] == hour(9)

    async def test_alone_is_not_overdue(self, chain: AuditChain, database: Database, clock: FrozenClock) -> None:
        clock.advance(seconds=3600)
        await chain.close_hours()
        ahead = FrozenClock(clock.now_us())
        ahead.advance(seconds=86_400)
        await write(database, ahead, 1)
        report = await chain.verify()
        assert (report.still_open, report.overdue) == (1, 0)


class TestOverdue:
    """Rows that nobody closed, for which nothing vouches."""

    async def test_are_those_older_than_two_hours(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        clock.advance(seconds=7200)
        await write(database, clock, 1)
        report = await chain.verify()
        assert (report.still_open, report.overdue, report.unattended) == (3, 2, False)
        await chain.close_hours()
        assert (await chain.verify()).overdue == 0

    async def test_are_told_from_those_that_no_worker_was_ever_to_close(
        self, database: Database, clock: FrozenClock
    ) -> None:
        chain = AuditChain(database, clock, SealingKeys(KEY))
        await write(database, clock, 2)
        clock.advance(seconds=7201)
        report = await chain.verify()
        assert (report.overdue, report.unattended) == (2, True)
        async with database.connection() as connection:
            await connection.execute("insert into job (kind, arguments, created_by) values ('audit.close', '{}', 'x')")
        assert not (await chain.verify()).unattended


class TestTampering:
    @pytest.mark.parametrize(
        ("statement", "finding"),
        [
            ("update audit set actor = 'user:2' where id = 7", ("changed", 2, 7)),
            ("update audit set at = at + interval '1 microsecond' where id = 1", ("changed", 1, 1)),
            ("update audit set details = '{}' where id = 15", ("changed", 3, 15)),
            ("update audit set after = null where id = 8", ("changed", 2, 8)),
            ("update audit set request_id = 'other' where id = 8", ("changed", 2, 8)),
            ("update audit set outcome = 'refused' where id = 8", ("changed", 2, 8)),
            ("delete from audit where id = 6", ("removed", 2, 6)),
            ("delete from audit where id = 15", ("removed", 3, 15)),
            ("update audit_link set ids = array_remove(ids, 3)", ("link", 1, None)),
            ("update audit_link set seal = 'x'", ("link", 1, None)),
            ("update audit_link set last_id = 14 where last_id = 15", ("link", 3, None)),
            ("delete from audit_link where hour = (select min(hour) from audit_link)", ("link", 2, None)),
        ],
    )
    async def test_is_found_and_named(
        self, chain: AuditChain, database: Database, statement: str, finding: tuple[str, int, int | None]
    ) -> None:
        await tamper(database, statement)
        kind, closed, row = finding
        assert Finding(kind, hour(closed), row) in (await chain.verify()).findings  # type: ignore[arg-type]

    async def test_names_each_row_and_no_other(self, chain: AuditChain, database: Database) -> None:
        for number in range(1, 16):
            await tamper(database, f"update audit set object = object || 'x' where id = {number}")
            found = (await chain.verify()).findings
            assert [(finding.kind, finding.row) for finding in found] == [("changed", number)]
            await tamper(database, f"update audit set object = rtrim(object, 'x') where id = {number}")
        assert (await chain.verify()).findings == ()

    @pytest.mark.parametrize("free", [18, -3], ids=["in a gap", "below all"])
    async def test_a_row_put_in(self, chain: AuditChain, database: Database, clock: FrozenClock, free: int) -> None:
        """A change that was given up leaves its number free."""
        async with database.connection() as connection:
            assert await connection.fetchval("select nextval('audit_id')") == 18
        await write(database, clock, 1)
        clock.advance(seconds=3600)
        assert await chain.close_hours() == 1
        await tamper(
            database,
            "insert into audit (id, at, actor, action, object, outcome, details) "
            f"select {free}, at, actor, action, object, outcome, details from audit where id = 3",
        )
        assert [(finding.kind, finding.row) for finding in (await chain.verify()).findings] == [("inserted", free)]

    async def test_a_chain_made_anew_without_the_secret_has_wrong_seals(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        before = (await chain.verify()).digests
        await tamper(database, "delete from audit where id = 6", "delete from audit_link", NO_HEAD)
        assert await AuditChain(database, clock, SealingKeys(b"guessed" * 5)).close_hours() == HOURS
        forged = await chain.verify()
        assert forged.unknown_seals == HOURS
        assert before[-1] not in forged.digests

    async def test_the_database_refuses_it_to_everybody_else(self, chain: AuditChain, database: Database) -> None:
        for table in ("audit", "audit_link"):
            for statement in (f"update {table} set {'actor' if table == 'audit' else 'sealed_with'} = 'x'",
                              f"delete from {table}", f"truncate {table}"):  # fmt: skip
                async with database.connection() as connection:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
                        await connection.execute(statement)


CUT = ("delete from audit_link where last_id = 15", "delete from audit where id > 10")
NO_HEAD = "delete from audit_head"
OLD_END = "update audit_head set (hour, digest) = (select hour, digest from audit_link where last_id = 10)"
OLD_SEAL = "update audit_head set (seal, sealed_with) = (select seal, {name} from audit_link where last_id = 10)"


class TestTheEndIsMissed:
    """By whoever owns the database and knows no secret."""

    @pytest.mark.parametrize(
        ("statements", "finding"),
        [
            (["delete from audit", "delete from audit_link"], ("cut", 3)),
            (CUT, ("cut", 3)),
            ([CUT[0], "update audit set actor = 'user:2' where id = 12"], ("cut", 3)),  # for it to be closed again
            ([*CUT, NO_HEAD], ("head", 2)),
            ([*CUT, OLD_END], ("head", 2)),
            ([*CUT, OLD_END, OLD_SEAL.format(name="sealed_with")], ("head", 2)),  # a link's seal is none of a head
            ([NO_HEAD], ("head", 3)),
            (["update audit_link set number = null", NO_HEAD], ("link", 3)),  # as if from before there was one
        ],
    )
    async def test_also_when_closing_has_gone_on(
        self,
        chain: AuditChain,
        database: Database,
        clock: FrozenClock,
        statements: list[str],
        finding: tuple[str, int],
    ) -> None:
        await tamper(database, *statements)
        kind, closed = finding
        told = Finding(kind, hour(closed))  # type: ignore[arg-type]
        assert told in (await chain.verify()).findings
        await write(database, clock, 2)
        clock.advance(seconds=7200)
        assert await chain.close_hours() > 0
        found = (await chain.verify()).findings
        assert told in found or (kind == "head" and "head" in {later.kind for later in found})

    async def test_a_chain_from_before_heads_gets_one_with_its_next_hour(
        self, database: Database, clock: FrozenClock
    ) -> None:
        chain = AuditChain(database, clock, SealingKeys(KEY))
        await write(database, clock, 2)
        async with database.write() as session:
            kept = b"".join((await repository.leaves(session, 0, 2)).values())
            old = AuditLinkTable(hour=hour(1), last_id=2, ids=[1, 2], leaves=kept, closed_at=hour(1))
            old.digest = digest_of(START, old)
            old.seal, old.sealed_with = SealingKeys(KEY).seal(old.digest)
            session.add(old)
        assert (await chain.verify()).findings == ()
        clock.advance(seconds=3600)
        await write(database, clock, 2)
        clock.advance(seconds=3600)
        assert await chain.close_hours() == 1
        assert (await chain.verify()).findings == ()
        await tamper(database, "delete from audit_link where number = 1")
        assert (await chain.verify()).findings == (Finding("cut", hour(2)),)


class TestAnotherSecret:
    async def test_seals_of_the_retired_one_still_fit(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        rotated = AuditChain(database, clock, SealingKeys(b"n" * 32, [KEY]))
        report = await rotated.verify()
        assert (report.findings, report.unknown_seals) == ((), 0)

    async def test_without_it_the_digests_still_do(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """While it is known, the head is sealed with the new one: a head that nobody can check vouches for nothing."""
        alone = AuditChain(database, clock, OTHER)
        assert (await alone.verify()).findings == (Finding("unknown", hour(HOURS)),)
        assert await AuditChain(database, clock, SealingKeys(b"n" * 32, [KEY])).close_hours() == 0
        report = await alone.verify()
        assert (report.findings, report.unknown_seals) == ((), HOURS)

    async def test_closes_nothing_where_the_head_cannot_be_checked(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """A command in another folder, or a server whose secret was changed: the chain is as if it had not been."""
        await write(database, clock, 2)
        clock.advance(seconds=7200)
        with pytest.raises(UnknownSecretError, match="ASSAY_AUTH__RETIRED_SECRETS"):
            await AuditChain(database, clock, OTHER).close_hours()
        assert await chain.close_hours() == 1
        assert (await chain.verify()).findings == ()

    async def test_is_vouched_for_where_the_first_is_lost(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """And that it was is in the audit."""
        other = AuditChain(database, clock, OTHER)
        assert await other.reseal() == Finding("unknown", hour(HOURS))
        assert await other.reseal() is None
        clock.advance(seconds=7200)
        assert await other.close_hours() == 1
        report = await other.verify()
        assert (report.findings, report.unknown_seals) == ((), HOURS)
        async with database.connection() as connection:
            told = await connection.fetchrow("select object, details from audit where action = 'audit.reseal'")
        assert tuple(told) == (f"audit:{hour(HOURS).isoformat()}", '{"found": "unknown"}')

    async def test_hours_closed_without_the_heads_are_told_from_a_cut(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        """As versions did that didn't look at the head."""
        async with database.connection() as connection:
            head = await connection.fetchrow("select hour, digest, seal, sealed_with from audit_head")
        clock.advance(seconds=7200)
        await chain.close_hours()
        async with database.connection() as connection:
            await connection.execute(
                "update audit_head set (hour, digest, seal, sealed_with) = ($1, $2, $3, $4)", *head
            )
        assert (await chain.verify()).findings == (Finding("beyond", hour(HOURS)),)
        assert await chain.reseal() is not None
        assert (await chain.verify()).findings == ()


class TestResealing:
    async def test_goes_on_after_a_cut_and_says_so(
        self, chain: AuditChain, database: Database, clock: FrozenClock
    ) -> None:
        await tamper(database, *CUT)
        assert await chain.reseal() == Finding("cut", hour(HOURS))
        assert (await chain.verify()).findings == ()

    async def test_forgives_no_row(self, chain: AuditChain, database: Database) -> None:
        await tamper(database, "update audit set actor = 'user:2' where id = 7", NO_HEAD)
        assert await chain.reseal() == Finding("head", hour(HOURS))
        assert (await chain.verify()).findings == (Finding("changed", hour(2), 7),)

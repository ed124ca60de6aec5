"""A job is made with the caller's transaction or not at all."""

import asyncio

import pytest

from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import JobStatus, NewJob
from tests.support.jobs import look, messages
from tests.support.tracking import rows_of

NEW = NewJob("count", "user:1", {"n": 3}, "m1")


class TestEnqueueing:
    async def test_is_part_of_the_callers_transaction(self, database: Database) -> None:
        async with database.transaction() as connection:
            made = await repository.enqueue(connection, NEW)
        job = await look(database, made.id)
        assert (job.kind, job.status, job.arguments, job.model_id, job.created_by, job.attempt) == (
            *("count", JobStatus.QUEUED, {"n": 3}, "m1", "user:1", 0),
        )
        assert await messages(database) == 1

    async def test_rolls_back_with_it(self, database: Database) -> None:
        async with database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await repository.enqueue(connection, NEW)
            await transaction.rollback()
        assert (await rows_of(database, "job"), await messages(database)) == (0, 0)

    @pytest.mark.parametrize("committed", [True, False])
    async def test_works_the_same_in_a_session(self, database: Database, committed: bool) -> None:
        async with database.write() as session:
            await repository.enqueue_in(session, NEW)
            if not committed:
                await session.rollback()
        assert (await rows_of(database, "job"), await messages(database)) == (committed, committed)

    async def test_makes_one_of_a_single_job_however_many_ask(self, database: Database) -> None:
        async def ask() -> int:
            async with database.transaction() as connection:
                return (await repository.enqueue(connection, NewJob("count", "user:1", {}, single="only"))).id

        assert len(set(await asyncio.gather(*(ask() for _ in range(5))))) == 1
        assert (await rows_of(database, "job"), await messages(database)) == (1, 1)

    async def test_makes_another_once_the_first_has_ended(self, database: Database) -> None:
        new = NewJob("count", "user:1", {}, single="only")
        async with database.transaction() as connection:
            first = await repository.enqueue(connection, new)
            await repository.cancel_queued(connection, first.id)
            second = await repository.enqueue(connection, new)
        assert second.id > first.id

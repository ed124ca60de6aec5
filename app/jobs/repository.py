"""SQL of jobs. A job's row is the truth; a message in the queue only says that an attempt at it is due.

Every write of an attempt names its number and is refused when the job has another one. Statements that followers want
to hear of notify in the same transaction, so nobody hears of what did not happen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from app.core.spans import traceparent
from app.db.engine import Session
from app.jobs.job import Job, JobStatus, NewJob

CHANNEL = "assay_jobs"
QUEUE, MESSAGE = "assay", "attempt"  # names of the queue and of its one kind of message

_COLUMNS = (
    "id, kind, status, revision, arguments, model_id, attempt, failures, cancel_requested, fraction, stage, message, "
    "result, error, created_by, traceparent, created_at, started_at, finished_at"
)
_OPEN = "status in ('queued', 'running')"
# whoever was begun before goes first
_SEND = f"""procrastinate_defer_jobs_v1(array[row('{QUEUE}', '{MESSAGE}', least(attempt, 1), null, null,
    jsonb_build_object('job', id, 'attempt', attempt + 1), due_at)::procrastinate_job_to_defer_v1])"""
_TELL = f"pg_notify('{CHANNEL}', id::text)"

_ENQUEUE = f"""
with made as (
    insert into job (kind, arguments, model_id, single, created_by, traceparent, result)
    values ($1, $2::text::jsonb, $3, $4, $5, $6, $7::text::jsonb)
    on conflict (single) where {_OPEN} do nothing returning {_COLUMNS}, due_at
)
select {_COLUMNS}, {_SEND} from made
"""  # noqa: S608  constants only
_UNDER_WAY = f"select {_COLUMNS} from job where single = $1 and {_OPEN}"  # noqa: S608
_ONE = f"select {_COLUMNS} from job where id = $1"  # noqa: S608
_LOCKED = f"{_ONE} for update"
_PAGE = f"""
select {_COLUMNS} from job
where ($1 = 0 or id < $1) and ($2::text is null or status = $2) and ($3::text is null or kind = $3)
    and ($4::text[] is null or model_id = any($4)) and ($5 or model_id is not null)
order by id desc limit $6
"""  # noqa: S608
_CLAIM = f"""
with moved as (
    update job set status = 'running', attempt = $2, worker = $3, revision = revision + 1,
        started_at = coalesce(started_at, clock_timestamp())
    where id = $1 and status = 'queued' and attempt = $2 - 1 returning {_COLUMNS}
)
select {_COLUMNS}, {_TELL} from moved
"""  # noqa: S608
_PROGRESS = f"""
with moved as (
    update job set fraction = $3, stage = $4, message = $5, revision = revision + 1
    where id = $1 and attempt = $2 and status = 'running' returning id
)
select {_TELL} from moved
"""  # noqa: S608
_COUNT = """
update job set result = coalesce(result, '{}') || (
    select jsonb_object_agg(more.key, coalesce((result ->> more.key)::int8, 0) + more.value::int8)
    from jsonb_each_text($3::text::jsonb) more)
where id = $1 and attempt = $2 and status = 'running' returning result
"""
_HOLD = "select true from job where id = $1 and attempt = $2 and status = 'running' for no key update"
_END = f"""
with moved as (
    update job set status = $3, result = coalesce($4::text::jsonb, result), error = $5::text::jsonb,
        fraction = case when $3 = 'succeeded' then 1 else fraction end, failures = failures + $6,
        revision = revision + 1, finished_at = clock_timestamp(), worker = null
    where id = $1 and attempt = $2 and status = 'running' returning id
)
select {_TELL} from moved
"""  # noqa: S608
_AGAIN = f"""
with moved as (
    update job set status = 'queued', error = $3::text::jsonb, failures = failures + $4, revision = revision + 1,
        due_at = clock_timestamp() + $5::float8 * interval '1 second', worker = null
    where id = $1 and attempt = $2 and status = 'running' returning id, attempt, due_at
)
select {_SEND}, {_TELL} from moved
"""  # noqa: S608
_CANCEL_QUEUED = f"""
with moved as (
    update job set status = 'cancelled', cancel_requested = true, error = null, revision = revision + 1,
        finished_at = clock_timestamp() where id = $1 returning {_COLUMNS}
)
select {_COLUMNS}, {_TELL} from moved
"""  # noqa: S608
_ASK_TO_END = f"""
with moved as (
    update job set cancel_requested = true, revision = revision + 1 where id = $1 returning {_COLUMNS}
)
select {_COLUMNS}, {_TELL} from moved
"""  # noqa: S608
_STANDING = "select id, attempt, status, cancel_requested from job where id = any($1::int8[])"
_ALIVE = "w.last_heartbeat >= now() - $1::float8 * interval '1 second'"
_ABANDONED = f"""
select {_COLUMNS} from job j
where status = 'running' and id <> all($3::int8[]) and (worker = any($2::int8[])
    or not exists (select from procrastinate_workers w where w.id = j.worker and {_ALIVE}))
order by id for update skip locked
"""  # noqa: S608
# taken by a worker that is lost, or long ago by one of ours that does nothing with it; `due`: no job was begun by it
_STUCK_MESSAGES = f"""
select procrastinate_retry_job_v2(m.id, null, null, null, null), j.id is not null or not m.args ? 'job' as due
from procrastinate_jobs m left join job j on j.id = (m.args ->> 'job')::int8 and j.status = 'queued'
    and j.attempt + 1 = (m.args ->> 'attempt')::int4
where m.status = 'doing' and m.queue_name = '{QUEUE}' and (
    not exists (select from procrastinate_workers w where w.id = m.worker_id and {_ALIVE})
    or (m.worker_id = any($2::int8[]) and coalesce((m.args ->> 'job')::int8, 0) <> all($3::int8[]) and $1 < (
        select extract(epoch from now() - max(e.at)) from procrastinate_events e
        where e.job_id = m.id and e.type = 'started')))
"""  # noqa: S608
_SEND_AGAIN = f"""
select {_SEND} from job j
where status = 'queued' and due_at < now() - $1::float8 * interval '1 second' and not exists (
    select from procrastinate_jobs m where m.queue_name = '{QUEUE}' and m.status in ('todo', 'doing')
        and (m.args ->> 'job')::int8 = j.id and (m.args ->> 'attempt')::int4 = j.attempt + 1)
"""  # noqa: S608
_CREATED_SINCE = "select exists (select from job where kind = $1 and created_at >= $2)"
_STATE = f"""
select (select count(*) from procrastinate_workers w where {_ALIVE}) as workers,
    (select count(*) from job where status = 'running') as running,
    (select count(*) from job where status = 'queued' and due_at <= now()) as due,
    (select extract(epoch from now() - min(due_at))::float8 from job where status = 'queued') as waited_s
"""  # noqa: S608
_FORGET = "delete from job where finished_at < now() - $1::float8 * interval '1 second'"
_LOCK = "select pg_try_advisory_xact_lock(x'0a55a8'::int)"


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an attempt still has its job, and is still wanted."""

    attempt: int
    status: JobStatus
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class QueueState:
    """What health says of the queue. `waited_s`: how long the oldest job has been due; below 0 it is not yet."""

    workers: int
    running: int
    due: int
    waited_s: float


async def enqueue(connection: Any, new: NewJob) -> Job:
    """As `enqueue_or_find`, where nobody asks which."""
    job, _ = await enqueue_or_find(connection, new)
    return job


async def enqueue_or_find(connection: Any, new: NewJob) -> tuple[Job, bool]:
    """The job and True, or the one with its `single` name that is under way and False.

    What is new is gone if the transaction rolls back.
    """
    while True:
        if (row := await connection.fetchrow(_ENQUEUE, *_parameters(new))) is not None:
            return job_of(row), True
        if (row := await connection.fetchrow(_UNDER_WAY, new.single)) is not None:
            return job_of(row), False
        # it has ended between the two questions


async def enqueue_in(session: Session, new: NewJob) -> None:
    """As `enqueue`, in a session's transaction; a `single` job that is under way stays as it is."""
    connection = await session.connection()
    await connection.exec_driver_sql(_ENQUEUE, _parameters(new))


async def find(connection: Any, job_id: int, *, lock: bool = False) -> Job | None:
    row = await connection.fetchrow(_LOCKED if lock else _ONE, job_id)
    return job_of(row) if row else None


async def page(
    connection: Any,
    *,
    before: int,
    status: str | None,
    kind: str | None,
    models: Sequence[str] | None,
    all_kinds: bool,
    limit: int,
) -> list[Job]:
    """Newest first. `before` 0: from the newest; not `all_kinds`: only jobs of a model."""
    rows = await connection.fetch(_PAGE, before, status, kind, models, all_kinds, limit)
    return [job_of(row) for row in rows]


async def claim(connection: Any, job_id: int, attempt: int, worker: int) -> Job | None:
    """The job, if this is the attempt that is due."""
    row = await connection.fetchrow(_CLAIM, job_id, attempt, worker)
    return job_of(row) if row else None


async def progress(connection: Any, job: Job, fraction: float, stage: str, message: str) -> bool:
    return await connection.fetchrow(_PROGRESS, job.id, job.attempt, fraction, stage, message) is not None


async def count(connection: Any, job: Job, more: Mapping[str, int]) -> dict[str, int] | None:
    """Adds to what the job has done, and says what that is now; None where it is another attempt's."""
    done = await connection.fetchval(_COUNT, job.id, job.attempt, _json(more))
    return None if done is None else msgspec.json.decode(done)


async def hold(connection: Any, job: Job) -> bool:
    """Locks the job's row for the attempt; False where it is another's."""
    return bool(await connection.fetchval(_HOLD, job.id, job.attempt))


async def succeed(connection: Any, job: Job, result: Mapping[str, Any]) -> bool:
    return await _end(connection, job, JobStatus.SUCCEEDED, result=result)


async def fail(connection: Any, job: Job, error: Mapping[str, Any]) -> bool:
    return await _end(connection, job, JobStatus.FAILED, error=error, failures=1)


async def cancelled(connection: Any, job: Job) -> bool:
    return await _end(connection, job, JobStatus.CANCELLED)


async def again(
    connection: Any, job: Job, *, wait_s: float, error: Mapping[str, Any] | None = None, failures: int = 0
) -> bool:
    """Puts a running job back into the queue, with the message for its next attempt."""
    row = await connection.fetchrow(_AGAIN, job.id, job.attempt, _json(error), failures, wait_s)
    return row is not None


async def cancel_queued(connection: Any, job_id: int) -> Job:
    return job_of(await connection.fetchrow(_CANCEL_QUEUED, job_id))


async def ask_to_end(connection: Any, job_id: int) -> Job:
    return job_of(await connection.fetchrow(_ASK_TO_END, job_id))


async def standing(connection: Any, job_ids: Sequence[int]) -> dict[int, Standing]:
    rows = await connection.fetch(_STANDING, job_ids)
    return {row[0]: Standing(row[1], JobStatus(row[2]), row[3]) for row in rows}


async def alone(connection: Any) -> bool:
    """Whether this transaction is the one that rescues now."""
    return bool(await connection.fetchval(_LOCK))


async def abandoned(connection: Any, stalled_s: float, mine: Sequence[int], taken: Sequence[int]) -> list[Job]:
    """Running jobs whose worker has not been heard of for so long, or is one of `mine`; not those `taken`. Locked."""
    return [job_of(row) for row in await connection.fetch(_ABANDONED, stalled_s, mine, taken)]


async def send_again(connection: Any, stalled_s: float, mine: Sequence[int], taken: Sequence[int]) -> int:
    """Messages that a lost worker had taken go back; queued jobs without any get one. How many jobs wait for these."""
    stuck = await connection.fetch(_STUCK_MESSAGES, stalled_s, mine, taken)
    return len([row for row in stuck if row["due"]]) + len(await connection.fetch(_SEND_AGAIN, stalled_s))


async def created_since(connection: Any, kind: str, moment: datetime) -> bool:
    return bool(await connection.fetchval(_CREATED_SINCE, kind, moment))


async def state(connection: Any, stalled_s: float) -> QueueState:
    row = await connection.fetchrow(_STATE, stalled_s)
    return QueueState(row["workers"], row["running"], row["due"], float(row["waited_s"] or 0.0))


async def forget(connection: Any, seconds: float) -> int:
    """Drops jobs that ended so long ago; how many."""
    return int((await connection.execute(_FORGET, seconds)).split()[-1])


async def _end(
    connection: Any, job: Job, status: JobStatus, *, result: Any = None, error: Any = None, failures: int = 0
) -> bool:
    row = await connection.fetchrow(_END, job.id, job.attempt, status, _json(result), _json(error), failures)
    return row is not None


def _parameters(new: NewJob) -> tuple[Any, ...]:
    told = traceparent(), _json(new.done)
    return new.kind, _json(new.arguments), new.model_id, new.single, new.created_by, *told


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def job_of(row: Any) -> Job:
    read = {name: row[name] for name in Job.__dataclass_fields__}
    for name in ("arguments", "result", "error"):
        read[name] = None if read[name] is None else msgspec.json.decode(read[name])
    return Job(**{**read, "status": JobStatus(read["status"])})

"""A job as a stream: its state whenever it changes, ended with the job itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from weakref import WeakSet

from app.auth.principal import Principal
from app.core.errors import Unavailable
from app.core.leaving import told_of_the_end
from app.db.engine import Database
from app.db.listening import listen
from app.jobs.errors import JobStreamsExhausted
from app.jobs.job import Job
from app.jobs.repository import CHANNEL
from app.jobs.schemas import JobAnswer
from app.jobs.service import Jobs

MAX_FOLLOWERS = 200  # per process; each holds a connection and a few kilobytes
HEARTBEAT_S = 15.0  # proxies cut what is silent for 30 to 60 s; the job is looked at anew too, should a word be lost
LONGEST_S = 900.0  # then the client comes again with a fresh token


class Follower:
    """Hears that its job has changed; how, it reads itself."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self.woken = asyncio.Event()


class JobFeed:
    """One LISTEN per process, fanned out to every client that follows a job."""

    def __init__(self, database: Database, jobs: Jobs, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._database = database
        self._jobs = jobs
        self._heartbeat_s = heartbeat_s
        self._followers: WeakSet[Follower] = WeakSet()  # a stream that was never begun leaves with its iterator
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until told to stop, then ends every stream; what is not heard of, heartbeats find."""
        self._loop = asyncio.get_running_loop()
        with told_of_the_end(self.leave):
            await listen(self._database, CHANNEL, self._heard, stop, begun=self._wake_all)
        self._close()

    def leave(self) -> None:
        """Ends every stream, and every one that still comes; from any thread or signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    async def events(self, job_id: int, seen: int, *, principal: Principal) -> AsyncGenerator[bytes]:
        """Server-sent events for one client that knows revision `seen` (0: none).

        Raises `JobNotFound` and `JobStreamsExhausted` at once, before an answer has begun.
        """
        if len(self._followers) >= MAX_FOLLOWERS:
            raise JobStreamsExhausted(
                f"{MAX_FOLLOWERS} clients follow jobs of this process already",
                headers={"Retry-After": str(int(HEARTBEAT_S))},
            )
        follower = Follower(job_id)
        self._followers.add(follower)
        job = await self._jobs.job(job_id, principal=principal)
        return self._events(follower, job, seen, principal)

    async def _events(self, follower: Follower, job: Job, seen: int, principal: Principal) -> AsyncGenerator[bytes]:
        ends = asyncio.get_running_loop().time() + LONGEST_S
        yield b"retry: 1000\n\n"
        while True:
            if job.revision > seen or job.ended:  # the end always: a client that lost it would come again for ever
                seen = job.revision
                yield _event(job)
            if job.ended or self._closed or asyncio.get_running_loop().time() >= ends:
                return
            try:
                await asyncio.wait_for(follower.woken.wait(), self._heartbeat_s)
            except TimeoutError:
                yield b": heartbeat\n\n"
            follower.woken.clear()
            with suppress(Unavailable):  # while the database is away nothing is known to have changed
                job = await self._jobs.job(follower.job_id, principal=principal)

    def _heard(self, payload: str) -> None:
        for follower in self._followers:
            if payload == str(follower.job_id):
                follower.woken.set()

    def _wake_all(self) -> None:
        for follower in self._followers:
            follower.woken.set()

    def _close(self) -> None:
        self._closed = True
        self._wake_all()


def _event(job: Job) -> bytes:
    kind = "end" if job.ended else "job"
    return f"id: {job.revision}\nevent: {kind}\ndata: {JobAnswer.of(job).model_dump_json()}\n\n".encode()

"""Several worker processes that share a socket: who watches over them."""

import socket
import time
from collections.abc import Callable

import structlog
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

WORKER_START_S = 60  # a worker that has told nothing for so long has failed: on a busy machine an import takes its time
MOMENT_S = 0.02  # in which a worker that is well answers
ENDING_S = 5.0  # from the end of the drain to the end of a worker
log = structlog.get_logger()


class Several(Multiprocess):
    """Says when all workers answer. Waits for none of them: one that hangs would hold up signals, and the replacing of
    another that has died, for as long as uvicorn's own supervisor waits."""

    def __init__(self, config: Config, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, sockets)
        self._ready = ready
        self._told = False
        self._asked: dict[Process, float] = {}  # since when
        self._serving: set[Process] = set()

    def keep_subprocess_alive(self) -> None:
        """Called twice a second, between signals."""
        for place, worker in enumerate(self.processes):
            if self._alive(worker):
                continue
            self._end(worker)
            if worker.exitcode == STARTUP_FAILURE:  # it would fail in the same way again
                log.error("a worker can't start, so nothing does", worker=worker.pid)
                self.should_exit.set()
                return
            log.error("a worker has died or hangs; another takes its place", worker=worker.pid)
            self.processes[place] = another = Process(self.config, self.sockets)
            another.start()
        if not self._told and self._serving.issuperset(self.processes):
            self._told = True
            self._ready()

    def _alive(self, worker: Process) -> bool:
        if not worker.process.is_alive():
            return False
        # Each worker's end of its pipe is its own alone: held open here as well, one that dies would leave no trace.
        worker.child_conn.close()
        now = time.monotonic()
        try:
            if worker not in self._asked:
                worker.parent_conn.send(b"ping")
                self._asked[worker] = now
            if worker.parent_conn.poll(MOMENT_S):
                if worker.parent_conn.recv():
                    self._serving.add(worker)
                del self._asked[worker]
        except (OSError, EOFError):
            return False
        return now - self._asked.get(worker, now) < WORKER_START_S

    def _end(self, worker: Process) -> None:
        worker.kill()
        worker.join()
        self._asked.pop(worker, None)
        self._serving.discard(worker)

    def terminate_all(self) -> None:
        """The socket goes with the workers': held open here it would take connections that nobody answers."""
        super().terminate_all()
        for listening in self.sockets:
            listening.close()

    def join_all(self) -> None:
        """One that hangs doesn't end by itself."""
        until = time.monotonic() + (self.config.timeout_graceful_shutdown or 0) + ENDING_S
        for worker in self.processes:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                log.error("a worker hasn't ended in its time and is killed", worker=worker.pid)
                self._end(worker)

"""Several worker processes that share a socket: who watches over them."""

import multiprocessing.process
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import structlog
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

WORKER_START_S = 60  # a worker that has told nothing for so long has failed: on a busy machine an import takes its time
MOMENT_S = 0.02  # in which a worker that is well answers
ENDING_S = 5.0  # from the end of all drains to the end of a worker
DRAINS = 2  # requests, then what they had queued: each for as long as the setting says
SHORTEST_S, LONGEST_S = 0.5, 30.0  # from the end of a worker that never served to the next start
log = structlog.get_logger()


class Several(Multiprocess):
    """Says when all workers answer. Waits for none of them: one that hangs would hold up signals, and the replacing of
    another that has died, for as long as uvicorn's own supervisor waits."""

    def __init__(self, config: Config, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        hang_up = signal.getsignal(signal.SIGHUP)
        super().__init__(config, sockets)
        if hang_up is signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, hang_up)
        self._ready = ready
        self._told = False
        self._served = False  # any of them, ever
        self._failed = False
        self._asked: dict[Process, float] = {}  # since when
        self._serving: set[Process] = set()
        self._dead: set[Process] = set()
        self._pause_s = 0.0
        self._next_at = 0.0

    def run(self) -> None:
        """Raises `SystemExit` where no worker could ever start. Whatever happens, none outlives it."""
        try:
            super().run()
        except BaseException:
            self.terminate_all()
            self.join_all()
            raise
        if self._failed:
            raise SystemExit(STARTUP_FAILURE)

    def keep_subprocess_alive(self) -> None:
        """Called twice a second, after signals were handled."""
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or self.signal_queue:  # of a signal to all they may have died
                return
            if self._alive(worker):
                continue
            self._bury(worker)
            if (worker.exitcode or 0) > 0 and not self._served:  # by a signal it is below
                log.error("a worker can't start, so nothing does", worker=worker.pid)
                self._failed = True
                self.should_exit.set()
            elif time.monotonic() >= self._next_at:
                self._replace(place)
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
                    self._serves(worker)
                del self._asked[worker]
        except (OSError, EOFError):
            return False
        return now - self._asked.get(worker, now) < WORKER_START_S

    def _serves(self, worker: Process) -> None:
        if worker not in self._serving:
            self._serving.add(worker)
            self._served = True
            self._pause_s = self._next_at = 0.0

    def _bury(self, worker: Process) -> None:
        """Once; it keeps its place until another takes it. After one that never served the next start waits: whatever
        ended it may end others, too."""
        if worker not in self._dead:
            log.error("a worker has died or hangs; another takes its place", worker=worker.pid)
            if worker not in self._serving:
                self._back_off()
            self._dead.add(worker)
            self._end(worker)

    def _back_off(self) -> None:
        self._pause_s = min(max(2 * self._pause_s, SHORTEST_S), LONGEST_S)
        self._next_at = time.monotonic() + self._pause_s

    def _replace(self, place: int) -> None:
        try:
            another = Process(self.config, self.sockets)
            another.start()
        except OSError as error:  # as many processes or files as there may be, or no memory for one more
            self._back_off()
            log.warning("a worker can't be started now", error=str(error), again_in_s=self._pause_s)
            return
        self._dead.discard(self.processes[place])
        self.processes[place] = another

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
        until = time.monotonic() + DRAINS * (self.config.timeout_graceful_shutdown or 0) + ENDING_S
        for worker in self.processes:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                log.error("a worker hasn't ended in its time and is killed", worker=worker.pid)
                self._end(worker)

    def handle_hup(self) -> None:
        """The terminal is gone. To change code or settings start the next server on a socket that is handed over:
        uvicorn's way to replace workers waits for those that hang."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """The number of workers is what was asked for."""

    def handle_ttou(self) -> None:
        """As above."""


def end_with_parent() -> None:
    """In a worker: that the terminal is gone is its parent's business; where that is gone, nobody else would end us."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent,), daemon=True).start()


def _outlive(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)

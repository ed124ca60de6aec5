"""HEALTH and a small authenticated GET against a bare FastAPI endpoint; START: time to ready, idle memory."""

import statistics
from pathlib import Path

from bench.bare import bare
from bench.load import drive, request
from bench.report import Line, show
from bench.stage import database, served

CLIENTS = 16
REQUESTS = 8_000
ROUNDS = 3


def run(*, full: bool) -> None:
    requests = REQUESTS * (4 if full else 1)
    rates: dict[str, list[float]] = {"bare": [], "health": [], "me": []}
    with database() as server, served(server.url) as stage, bare() as port:
        memory = _resident_mb(stage.pid)
        wanted = {
            "bare": (port, request("GET", "/health", "none")),
            "health": (
                stage.port,
                request("GET", "/api/v1/system/health", "").replace(b"Authorization: Bearer \r\n", b""),
            ),
            "me": (stage.port, request("GET", "/api/v1/auth/me", stage.token)),
        }
        for _ in range(ROUNDS):
            for name, (where, sent) in wanted.items():
                outcome = drive(where, [sent] * requests, clients=CLIENTS, expect=200)
                rates[name].append(outcome.per_second)
        starts = [stage.ready_s]
    with database() as server:
        for _ in range(ROUNDS - len(starts)):
            with served(server.url) as stage:
                starts.append(stage.ready_s)
    ready = statistics.median(starts)
    plain, health, me = (statistics.median(rates[name]) for name in ("bare", "health", "me"))
    show(
        f"HEALTH, {CLIENTS} connections, medians of {ROUNDS} interleaved rounds",
        [
            Line("GET /system/health", f"{health:,.0f} req/s", f"{plain:,.0f} req/s", health / plain, 0.9),
            Line("GET /auth/me with a token", f"{me:,.0f} req/s", f"{plain:,.0f} req/s", me / plain, 0.45),
        ],
        "limit: a bare FastAPI endpoint; the client is one Python process, so the first line is a lower bound",
    )
    show(
        f"START, migrated database, median of {ROUNDS}",
        [
            Line("assay serve to ready, seconds", f"{ready:.2f} s", "", ready, 4, at_most=True),
            Line("idle memory of the API process, MB", f"{memory:.0f} MB", "", memory, 200, at_most=True),
        ],
    )


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

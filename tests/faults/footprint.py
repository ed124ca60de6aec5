"""What a product that runs holds: memory, files, connections; read from outside, every few seconds."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.faults.injecting import children
from tests.support.served import ServedProduct

HELD = ("01", "08")  # ESTABLISHED and CLOSE_WAIT: a socket of the server's is behind it
CLIENTS = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Footprint:
    """At one moment, of all processes but the database's.

    `descriptors` are those beside connections: pools grow with the most that was ever asked at once, up to their size.
    """

    at_s: float
    memory_mib: float
    descriptors: int
    connections: int
    database_connections: int


async def watched(product: ServedProduct, seconds: float, every_s: float) -> list[Footprint]:
    """One footprint each `every_s`; `at_s` counts from the first."""
    begun = time.monotonic()
    found: list[Footprint] = []
    database = await asyncpg.connect(product.database_url)
    try:
        while (at_s := time.monotonic() - begun) < seconds:
            found.append(await _footprint(product, database, at_s))
            await asyncio.sleep(every_s - at_s % every_s)
    finally:
        await database.close()
    return found


async def _footprint(product: ServedProduct, database: asyncpg.Connection, at_s: float) -> Footprint:
    of_pools = await database.fetchval(CLIENTS)
    connections = _connections(product.pid, product.port)
    processes = list(_processes(product.pid))
    return Footprint(
        at_s,
        sum(_memory_mib(pid) for pid in processes),
        sum(_descriptors(pid) for pid in processes) - connections - of_pools,
        connections,
        of_pools,
    )


def _processes(pid: int) -> Iterator[int]:
    """It and what it started; an embedded database keeps its own house."""
    with suppress(OSError):  # it has ended meanwhile
        if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
            return
        yield pid
        for child in children(pid):
            yield from _processes(child)


def _memory_mib(pid: int) -> float:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")
        return int(lines[1].split()[0]) / 1024 if len(lines) > 1 else 0.0  # of a zombie there is none
    return 0.0


def _descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _connections(pid: int, port: int) -> int:
    """The server's end of those on its port; `/proc/net/tcp` has a line for each: number, local, remote, state, …"""
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state in HELD for _, local, _, state, *_ in lines)

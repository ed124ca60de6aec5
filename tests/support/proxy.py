"""A way to the database, or to Redis, that can be frozen, slowed or cut, where the server itself goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens on TCP, forwards to the server's unix socket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._target = f"{parts.username}@{{address}}{parts.path}"
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.delay_s = 0.0
        self.refusal: str | None = None  # an SQLSTATE: what a new connection is answered

    @property
    def url(self) -> str:
        """The same database by this way."""
        return "postgresql://" + self._target.format(address=f"127.0.0.1:{self._port}")

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """All connections end and no new one is taken."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def freeze(self) -> None:
        """Connections stay and nothing comes through."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.refusal is not None:
            await _refuse(reader, writer, self.refusal)
            return
        from_server, to_server = await self._connected()
        self._writers |= {writer, to_server}
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, to_server, asks=True), self._pump(from_server, writer, asks=False))
        for end in (writer, to_server):
            self._writers.discard(end)
            end.close()

    async def _connected(self) -> Streams:
        return await asyncio.open_unix_connection(str(self._socket))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            if asks and self.delay_s:
                await asyncio.sleep(self.delay_s)  # each round trip takes so much longer
            writer.write(data)
            await writer.drain()
        writer.close()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sqlstate: str) -> None:
    """As PostgreSQL does before it knows who comes: one ErrorResponse."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 4)
        fields = b"".join(
            kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", sqlstate), (b"M", "no"))
        )
        writer.write(b"E" + (len(fields) + 5).to_bytes(4) + fields + b"\0")
        await writer.drain()
    writer.close()


class RedisProxy(Proxy):
    """Forwards to a Redis on TCP."""

    def __init__(self, url: str) -> None:
        super().__init__("postgresql://?host=unused")
        self._there = urlsplit(url)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}{self._there.path}"

    async def _connected(self) -> Streams:
        return await asyncio.open_connection(self._there.hostname, self._there.port)


@contextlib.asynccontextmanager
async def slowed(url: str, delay_s: float) -> AsyncIterator[RedisProxy]:
    """A way to a Redis whose every answer takes so much longer."""
    proxy = RedisProxy(url)
    proxy.delay_s = delay_s
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.cut()


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.thaw()
        await proxy.cut()

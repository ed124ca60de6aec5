"""`python -m tests.faults.leaking serve`: the product with a thread beside it that keeps whatever it takes."""

import asyncio
import os
import socket
import threading
from contextlib import suppress

import asyncpg

from app.cli import main

EVERY_S = 0.1
MEMORY = 8 << 20  # a time


async def leak() -> None:
    kept: list[object] = []
    while True:
        await asyncio.sleep(EVERY_S)
        with suppress(OSError):  # it does not serve yet, and then nothing is kept either
            kept.append(socket.create_connection(("127.0.0.1", int(os.environ["ASSAY_PORT"]))))
            kept.append(await asyncpg.connect(os.environ["ASSAY_DATABASE__URL"]))
            kept.append(b"x" * MEMORY)
            kept.append(os.dup(0))


if __name__ == "__main__":
    threading.Thread(target=asyncio.run, args=(leak(),), daemon=True).start()
    main()

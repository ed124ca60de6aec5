"""`python -m tests.cli.supervised FOLDER`: two workers of an application that fails as the folder says.

While there is a file `broken`, a worker can't start; while there is one `none-more`, no process can be started. Each
worker that serves leaves a file with its number.
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import multiprocess

from app.cli.several import Several, end_with_parent

FOLDER = "SUPERVISED_FOLDER"
Event = MutableMapping[str, Any]


def application() -> Callable[..., Awaitable[None]]:
    end_with_parent()
    return _serve


async def _serve(
    scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    folder = Path(os.environ[FOLDER])
    assert scope["type"] == "lifespan"
    await receive()
    if (folder / "broken").exists():
        await send({"type": "lifespan.startup.failed"})
        return
    (folder / f"worker-{os.getpid()}").touch()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class _Limited(multiprocess.Process):
    def start(self) -> None:
        if (Path(os.environ[FOLDER]) / "none-more").exists():
            raise BlockingIOError(11, "Resource temporarily unavailable")
        super().start()


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ[FOLDER] = str(folder)
    config = uvicorn.Config(
        "tests.cli.supervised:application", factory=True, workers=2, timeout_graceful_shutdown=1, log_config=None
    )
    listening = socket.create_server(("127.0.0.1", 0))
    Several(config, [listening], (folder / "ready").touch).run()


if __name__ == "__main__":
    import app.cli.several

    app.cli.several.Process = _Limited  # type: ignore[misc]
    main()

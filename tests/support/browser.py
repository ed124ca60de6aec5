"""A real Chromium, and the application on a real port in front of it."""

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright

from app.analytics.feed import Feed
from tests.support.tools import need

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_S = 10.0


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's program. Without it: see `need`."""
    return need("chromium", package="chromium")


@pytest.fixture(scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    """One process for all tests; each test takes a context of its own."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        await launched.close()


@dataclass
class Watch:
    """What a page said and asked for while it was looked at."""

    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.addresses.append(request.url))

    def elsewhere(self, origin: str) -> list[str]:
        """Requests that left our origin."""
        return [url for url in self.addresses if not url.startswith((origin, "data:", "blob:"))]


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port, in a thread with a loop of its own; gives its origin."""
    config = uvicorn.Config(app, port=0, log_level="warning", loop="uvloop", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait_until_started(server, thread)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    app.state.services[Feed].leave()  # what the signal does in a process of its own
    server.should_exit = True
    thread.join(START_S)
    assert not thread.is_alive(), "the server did not end"


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    waiting = threading.Event()
    for _ in range(int(START_S / 0.02)):
        if server.started or not thread.is_alive():
            break
        waiting.wait(0.02)
    assert server.started, "the server did not start"

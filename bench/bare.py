"""The bare FastAPI application beside which the product is measured: same server, same body, nothing behind it."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import msgspec
from fastapi import FastAPI, Request

from bench.stage import free_port

app = FastAPI(openapi_url=None)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/decode")
async def decode(request: Request) -> dict[str, int]:
    return {"accepted": len(msgspec.json.decode(await request.body())["predictions"])}


@contextlib.contextmanager
def bare() -> Iterator[int]:
    """Its port, served as the product is: uvicorn, uvloop, httptools, one process."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen([*command, "--loop", "uvloop", "--http", "httptools", "--no-access-log"])
    try:
        for _ in range(500):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)

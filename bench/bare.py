"""The bare FastAPI application beside which the product is measured: same server, same body, nothing behind it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import msgspec
from fastapi import FastAPI, Request

from bench.stage import free_port

DATABASE = "BARE_DATABASE_URL"


@contextlib.asynccontextmanager
async def _stored(app: FastAPI) -> AsyncIterator[None]:
    """A pool and a table for what `/store` takes in, where a database is given."""
    if DATABASE not in os.environ:
        yield
        return
    async with asyncpg.create_pool(os.environ[DATABASE], min_size=10, max_size=10) as pool:
        await pool.execute("create table if not exists bare (body bytea)")
        app.state.pool = pool
        yield


app = FastAPI(openapi_url=None, lifespan=_stored)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/decode")
async def decode(request: Request) -> dict[str, int]:
    return {"accepted": len(msgspec.json.decode(await request.body())["predictions"])}


@app.post("/store")
async def store(request: Request) -> dict[str, int]:
    """Durable when it answers, and that is all."""
    await app.state.pool.execute("insert into bare values ($1)", await request.body())
    return {"accepted": 1}


@app.get("/look")
async def look() -> dict[str, int]:
    return {"one": await app.state.pool.fetchval("select count(*) from pg_am")}


@contextlib.contextmanager
def bare(database_url: str | None = None) -> Iterator[int]:
    """Its port, served as the product is: uvicorn, uvloop, httptools, one process."""
    port = free_port()
    environment = os.environ | ({} if database_url is None else {DATABASE: database_url})
    command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--log-level", "error"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    process = subprocess.Popen(command, env=environment)
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

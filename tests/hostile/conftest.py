"""The product as it is served, with something of everything in it for hostile requests to hit."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.db.embedded import EmbeddedServer
from tests.hostile.cases import Caller
from tests.hostile.operations import MODEL, PREDICTION, all_operations
from tests.support.databases import cloned
from tests.support.served import ServedProduct

DAY_S = 86_400


@pytest.fixture(scope="package")
async def product(server: EmbeddedServer, template: str) -> AsyncIterator[ServedProduct]:
    """One process, ready; its time for a head is short, so that slow ones end within a test, and its tokens live longer
    than the longest forms take, which is hours."""
    with tempfile.TemporaryDirectory() as folder:
        async with cloned(server, template) as url:
            served = ServedProduct(
                Path(folder),
                ASSAY_DATABASE__URL=url,
                ASSAY_HTTP__HEAD_TIMEOUT_S="2",
                ASSAY_HTTP__BODY_TIMEOUT_S="2.5",
                ASSAY_AUTH__TOKEN_EXPIRY=str(DAY_S),
            )
            served.start()
            try:
                served.wait_until_ready()
                yield served
            finally:
                served.stop()


@pytest.fixture(scope="package")
def caller(product: ServedProduct) -> Caller:
    """An admin, and a model, a version, a prediction, a job, a user and a key that are there."""
    token = product.token()
    with httpx.Client(base_url=product.url, headers={"Authorization": f"Bearer {token}"}) as client:
        bodies = {operation.path: operation.bodies[0] for operation in all_operations() if operation.bodies}
        for last in ("tracking/setup", "versions", "predictions", "labels"):
            path = f"/api/v1/models/{{model_id}}/{last}"
            client.post(path.replace("{model_id}", MODEL), json=bodies[path]).raise_for_status()
        recount = f"/api/v1/models/{MODEL}/recount"
        user = {"email": "v@example.com", "password": "a-long-password-of-it", "role": "viewer"}
        key = {"name": "k", "scopes": ["predictions:write"]}
        filled = {
            "model_id": MODEL,
            "version": "1",
            "alias": "shadow",
            "prediction_id": PREDICTION,
            "user_id": str(client.post("/api/v1/users", json=user).json()["id"]),
            "job_id": client.post(recount, json=bodies["/api/v1/models/{model_id}/recount"]).json()["job_id"],
            "slug": "not-found",
            "key_id": client.post("/api/v1/api-keys", json=key).json()["id"],
        }
    return Caller(f"127.0.0.1:{product.port}".encode(), token.encode(), filled)

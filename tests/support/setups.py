"""Setups of a model, and what is answered to them."""

from typing import Any

import httpx


def body(path: str = "", value: Any = None, **info: Any) -> dict[str, Any]:
    """A setup of model m, with `value` at `path` (dotted)."""
    made: dict[str, Any] = {"model_info": {"model_id": "m", **info}, "dataset_config": {}, "monitoring_config": {}}
    if path:
        *parents, last = path.split(".")
        place = made
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return made


def named(model_id: str, request: dict[str, Any]) -> dict[str, Any]:
    return request | {"model_info": request["model_info"] | {"model_id": model_id}}


async def set_up(client: httpx.AsyncClient, request: dict[str, Any]) -> httpx.Response:
    return await client.post(f"/models/{request['model_info']['model_id']}/tracking/setup", json=request)


def pointers(answer: httpx.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]

"""The OpenAPI examples of registry and lifecycle: one of each body and answer, and it is a true one."""

import json

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.lifecycle.endpoints import router as lifecycle
from app.models.endpoints import router as models

ROUTES = [route for router in (models, lifecycle) for route in router.routes if isinstance(route, APIRoute)]


def schemas(route: APIRoute) -> list[type[BaseModel]]:
    bodies = [parameter.field_info.annotation for parameter in route.dependant.body_params]
    return [schema for schema in (*bodies, route.response_model) if schema is not None]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
class TestExamples:
    def test_are_there_and_true(self, route: APIRoute) -> None:
        for schema in schemas(route):
            [example] = schema.model_json_schema()["examples"]
            schema.model_validate_json(json.dumps(example))
            assert set(example) <= set(schema.model_fields)

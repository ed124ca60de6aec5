"""Every operation the application has, with what its document says may go in: found, not listed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.main import create_app
from app.system.openapi import operations as documented
from tests.house.test_routes import EVERYTHING
from tests.house.test_routes import OPERATIONS as ROUTES

MODEL, PREDICTION = "fraud_model_v2.0", "order-1001"  # those of the document's examples
DOCUMENT: dict[str, Any] = json.loads(create_app(EVERYTHING).state.openapi())
JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """`places`: names in its path; `bodies`: examples of a JSON body that it takes."""

    method: str
    path: str
    places: tuple[str, ...]
    parameters: tuple[str, ...]
    bodies: tuple[Any, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def ends_something(self) -> bool:
        """Comes last, so that the others find what they work on."""
        return self.method == "DELETE"

    def target(self, filled: Mapping[str, str]) -> str:
        found = self.path.replace("{prediction_id:path}", "{prediction_id}")
        for name in self.places:
            found = found.replace("{" + name + "}", filled.get(name, "none"))
        return found


def all_operations() -> list[Operation]:
    described = {(method.upper(), path): operation for path, method, operation in documented(DOCUMENT)}
    found = [_operation(method, path, described.get((method, path), {})) for method, path, _ in ROUTES]
    return sorted(found, key=lambda operation: operation.ends_something)


def _operation(method: str, path: str, described: Mapping[str, Any]) -> Operation:
    parameters = described.get("parameters", [])
    return Operation(
        method,
        path,
        places=tuple(each["name"] for each in parameters if each["in"] == "path"),
        parameters=tuple(each["name"] for each in parameters if each["in"] == "query"),
        bodies=tuple(_bodies(described.get("requestBody", {}).get("content", {}).get(JSON))),
    )


def _bodies(content: Mapping[str, Any] | None) -> list[Any]:
    if content is None:
        return []
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    return [content["example"] if "example" in content else _example(content["schema"])]


def _example(schema: Mapping[str, Any]) -> Any:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] | {
            name: value for name, value in schema.items() if name != "$ref"
        }
    if "examples" in schema:
        return schema["examples"][0]
    for name in ("example", "default", "const"):
        if name in schema:
            return schema[name]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0])
    if "properties" in schema:
        return {name: _example(member) for name, member in schema["properties"].items()}
    return {"array": [], "integer": 1, "number": 0.5, "boolean": False, "string": "text"}.get(schema.get("type", ""))

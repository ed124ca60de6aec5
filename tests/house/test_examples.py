"""Every example of the OpenAPI document fits its schema: mock servers and contract tests use both."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.house.test_openapi import DOCUMENT

NAME = "urn:assay"


def absolute(part: Any) -> Any:
    """With references that are good from anywhere."""
    if isinstance(part, dict):
        return {name: NAME + value if name == "$ref" else absolute(value) for name, value in part.items()}
    return [absolute(each) for each in part] if isinstance(part, list) else part


WHOLE = absolute(DOCUMENT)
REGISTRY: Registry[Any] = Registry().with_resource(NAME, Resource(contents=WHOLE, specification=DRAFT202012))


def shown(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where each example stands, its schema, and the example itself: beside a schema it has a name, within one none."""
    if isinstance(part, list):
        for number, each in enumerate(part):
            yield from shown(each, f"{place}/{number}")
    elif isinstance(part, dict):
        schema, examples = part.get("schema", part), part.get("examples", [])
        if "example" in part:
            yield f"{place}/example", schema, part["example"]
        named = examples if isinstance(examples, list) else [each["value"] for each in examples.values()]
        for number, example in enumerate(named):
            yield f"{place}/examples/{number}", schema, example
        for name, each in part.items():
            if name not in {"example", "examples"}:
                yield from shown(each, f"{place}/{name}")


def faults(schema: dict[str, Any], example: Any) -> list[str]:
    checked = Draft202012Validator(schema, registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in checked.iter_errors(example)]


class TestEveryExample:
    def test_fits_its_schema(self) -> None:
        found = list(shown(WHOLE))
        assert {place: told for place, schema, example in found if (told := faults(schema, example))} == {}
        assert len(found) > 700

    @pytest.mark.parametrize("example", [{"status": "well"}, {}])
    def test_would_be_seen_not_to(self, example: object) -> None:
        assert faults({"$ref": f"{NAME}#/components/schemas/LivenessAnswer"}, example)

    def test_of_an_answer_shows_its_nulls(self) -> None:
        trend = DOCUMENT["paths"]["/api/v1/analytics/trends/{model_id}"]["get"]["responses"]["200"]
        assert trend["content"]["application/json"]["example"]["overall"]["error_bound"] is None
        assert DOCUMENT["components"]["schemas"]["JobAnswer"]["examples"][0]["error"] is None

"""The generated OpenAPI document says all that a client needs, of every operation."""

import json
import re
from typing import Any

import pytest

from app.auth.scopes import ROLES_OF
from app.core.sentences import PATTERNS
from app.main import create_app
from app.system.openapi import operations
from tests.house.test_routes import EVERYTHING

DOCUMENT: dict[str, Any] = json.loads(create_app(EVERYTHING).state.openapi())
OPERATIONS = {f"{method.upper()} {path}": operation for path, method, operation in operations(DOCUMENT)}
ALL = pytest.mark.parametrize("name", OPERATIONS)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema
    while "$ref" in found:
        found = DOCUMENT["components"]["schemas"][found["$ref"].rsplit("/", 1)[1]]
    return found


def shows_an_example(schema: dict[str, Any]) -> bool:
    """One of its own, or one of every member it must have."""
    found = resolved(schema)
    if {"example", "examples", "default", "enum", "const"} & set(found):
        return True
    for several in ("anyOf", "oneOf", "allOf"):
        if several in found:
            return any(shows_an_example(part) for part in found[several])
    if found.get("type") == "array":
        return shows_an_example(found.get("items", {}))
    if "properties" in found:
        members = found.get("required") or found["properties"]
        return all(shows_an_example(found["properties"][name]) for name in members)
    return found.get("type") in {"boolean", "null", "integer", "number"} or "format" in found


def contents(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What goes in and what comes out when all is well, each by its media type."""
    bodies = list(operation.get("requestBody", {}).get("content", {}).items())
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            bodies += answer.get("content", {}).items()
    return bodies


def _examples(answer: dict[str, Any]) -> set[str]:
    return set(answer.get("content", {}).get("application/problem+json", {}).get("examples", {}))


class TestDocument:
    def test_is_openapi_3_1_and_holds_every_reference(self) -> None:
        assert DOCUMENT["openapi"] == "3.1.0"
        for reference in set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(DOCUMENT))):
            part: Any = DOCUMENT
            for name in reference.removeprefix("#/").split("/"):
                part = part[name]
            assert part

    def test_operation_ids_are_words_and_unique(self) -> None:
        names = [operation["operationId"] for operation in OPERATIONS.values()]
        assert len(names) == len(set(names))
        assert all(re.fullmatch(r"[a-z][a-z_]*", name) for name in names)

    def test_schemas_have_names_that_clients_can_take_over(self) -> None:
        """Two classes of one name would get their module's path as theirs."""
        names = [*DOCUMENT["components"]["schemas"]]
        assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]*|Body_\w+", name)] == []
        assert len({name.lower() for name in names}) == len(names)

    def test_holds_no_pattern_that_a_refusal_would_not_put_into_words(self) -> None:
        patterns = {
            json.loads(text) for text in re.findall(r'"pattern": ?("(?:[^"\\\\]|\\\\.)*")', json.dumps(DOCUMENT))
        }
        assert len(patterns) > 10
        assert patterns <= set(PATTERNS)

    def test_shows_the_table_of_scopes(self) -> None:
        assert all(f"| `{scope}` |" in DOCUMENT["info"]["description"] for scope in ROLES_OF)


class TestEveryOperation:
    @ALL
    def test_is_described(self, name: str) -> None:
        operation = OPERATIONS[name]
        assert 3 <= len(operation["summary"]) <= 60
        assert not operation["summary"].endswith(".")
        assert len(operation["description"]) >= 20
        assert len(operation["tags"]) == 1

    @ALL
    def test_names_its_scope(self, name: str) -> None:
        operation = OPERATIONS[name]
        assert set(operation["x-scopes"]) <= set(ROLES_OF)
        public = operation["security"] == [{}]
        assert public != ("401" in operation["responses"] and bool(operation["security"][0]))

    @ALL
    def test_shows_an_example_of_all_that_goes_in_and_out(self, name: str) -> None:
        for kind, content in contents(OPERATIONS[name]):
            if kind == "text/event-stream" or "arrow" in kind or kind.startswith("image/"):
                continue
            assert {"example", "examples"} & set(content) or shows_an_example(content["schema"]), kind

    @ALL
    def test_tells_its_errors_as_problems_with_an_example(self, name: str) -> None:
        answers = {status: answer for status, answer in OPERATIONS[name]["responses"].items() if status >= "4"}
        assert "500" in answers
        for status, answer in answers.items():
            if status == "503" and "/system/health" in name:
                continue
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert all(str(example["value"]["status"]) == status for example in content["examples"].values())
            assert "application/json" not in answer["content"]

    @ALL
    def test_tells_what_the_edge_answers_before_it(self, name: str) -> None:
        responses = OPERATIONS[name]["responses"]
        told = {slug for answer in responses.values() for slug in _examples(answer)}
        assert told >= {"untrusted-host", "malformed-request", "invalid-request"}
        assert told >= {"head-too-slow", "address-too-long", "head-too-large"}
        assert ("unsupported-media-type" in told) >= ("requestBody" in OPERATIONS[name])

    @ALL
    def test_describes_its_parameters(self, name: str) -> None:
        for parameter in OPERATIONS[name].get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), parameter["name"]

"""The OpenAPI document: what FastAPI generates, with scopes and errors added from the guards."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.auth.errors import Forbidden, Unauthenticated
from app.auth.guards import Guard, guarded
from app.auth.scopes import table
from app.core.errors import InvalidRequest, Problem, Unavailable, UnsupportedMediaType
from app.core.headers import HEADERS, OF_LIMITS, carrying
from app.core.http import (
    MEDIA_TYPE,
    PROBLEM_SCHEMA,
    AddressTooLong,
    BodyTooLarge,
    BodyTooSlow,
    HeadTooLarge,
    HeadTooSlow,
    InternalError,
    MalformedRequest,
    UntrustedHost,
    responses,
)
from app.core.limits import TooManyRequests
from app.idempotency.errors import AnswerLost, KeyUsedOtherwise, RequestUnderWay
from app.tracking import examples

METHODS = ("get", "post", "put", "patch", "delete")

_DESCRIPTION = """
Knows how accurate a deployed model is, says so honestly, and acts on it.

Send an access token (`POST /api/v1/auth/token`) or an API key as `Authorization: Bearer …`. Errors are
`application/problem+json` (RFC 9457). Lists are paged by `cursor`. What creates or starts something takes an
`Idempotency-Key`: sent again within 24 hours it is answered as the first time, and carried out once. Times are RFC
3339, UTC. `HEAD` is answered as `GET` is, without the body, except by streams. Every answer carries
`X-Request-ID`; limited ones `RateLimit` and `RateLimit-Policy`, and a 429 `Retry-After`.

Each operation names the scope it needs (`x-scopes`). Roles have these scopes:

"""

_SCHEMES: dict[str, Any] = {
    "password": {
        "type": "oauth2",
        "description": "a person's log-in",
        "flows": {"password": {"tokenUrl": "/api/v1/auth/token", "refreshUrl": "/api/v1/auth/refresh", "scopes": {}}},
    },
    "key": {"type": "http", "scheme": "bearer", "description": "an API key, or an access token"},
}
_BY_THE_EDGE = ("414", "431")  # given before anybody's limits are known


def build(app: FastAPI) -> dict[str, Any]:
    """The document of the application as it stands."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=_DESCRIPTION.strip() + "\n\n" + table(),
        routes=app.routes,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
    )
    found = {
        (context.path_format, method.lower()): (context, guards[0])
        for context, guards in guarded(app.routes)
        for method in context.methods
    }
    for path, method, operation in operations(document):
        context, guard = found[path, method]
        _complete(operation, guard, method)
        _show(operation["responses"], context.responses)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    schemas |= {"Problem": PROBLEM_SCHEMA} | examples.SCHEMAS
    for name, shown in _examples({context.response_model for context, _ in found.values()}):
        schemas[name]["examples"] = shown
    components["headers"] = HEADERS
    components["securitySchemes"] = _SCHEMES
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything in the document."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _show(answers: dict[str, Any], written: dict[int | str, Any]) -> None:
    """FastAPI leaves what is null out of examples, and so what their schemas require: they are shown as written."""
    for status, answer in written.items():
        for kind, content in answer.get("content", {}).items():
            if "example" in content:
                answers[str(status)]["content"][kind]["example"] = content["example"]


def _examples(models: set[Any]) -> Iterator[tuple[str, list[Any]]]:
    """As `_show`, of the schemas of answers: their names, and the examples of each."""
    known = [(model, "serialization") for model in models if issubclass(model or object, BaseModel)]
    _, written = models_json_schema(known)  # type: ignore[arg-type]
    for name, schema in written["$defs"].items():
        if "examples" in schema:
            yield name, schema["examples"]


def _complete(operation: dict[str, Any], guard: Guard, method: str) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422", "")):
        del answers["422"]
    for status, answer in responses(*_problems(operation, guard, method)).items():
        known = answers.setdefault(str(status), {"description": "", "content": {}})
        _merge(known, answer)
    for status, answer in answers.items():
        answer.setdefault("headers", {}).update(carrying(*_sent(operation, guard, status))["headers"])
    operation["security"] = [{}] if guard.public else [{"password": []}, {"key": []}]
    operation["x-scopes"] = [] if guard.scope is None else [guard.scope]
    if guard.scope is not None:
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{guard.scope}`.".strip()


def _sent(operation: dict[str, Any], guard: Guard, status: str) -> Iterator[str]:
    """The headers that no route and no problem brings by itself."""
    yield "X-Request-ID"
    stranger = status == "401" and not guard.public
    if "429" in operation["responses"] and status not in _BY_THE_EDGE and not stranger:
        yield from OF_LIMITS
    if _once(operation) and status.startswith("2"):
        yield "Idempotency-Replayed"


def _problems(operation: dict[str, Any], guard: Guard, method: str) -> list[type[Problem]]:
    """What any operation of this kind can answer, and what the edge answers before it knows which one it is."""
    found: list[type[Problem]] = [InternalError, Unavailable, UntrustedHost, MalformedRequest, InvalidRequest]
    found += [HeadTooSlow, AddressTooLong, HeadTooLarge]
    if "requestBody" in operation or method in ("post", "put", "patch"):
        found += [BodyTooSlow, BodyTooLarge, UnsupportedMediaType]
    if not guard.public:
        found += [Unauthenticated, TooManyRequests]
    if guard.scope is not None:
        found.append(Forbidden)
    if _once(operation):
        found += [KeyUsedOtherwise, RequestUnderWay, AnswerLost]
    return found


def _once(operation: dict[str, Any]) -> bool:
    return any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))


def _merge(known: dict[str, Any], answer: dict[str, Any]) -> None:
    if answer["description"] not in known["description"]:
        known["description"] = "; ".join(filter(None, (known["description"], answer["description"])))
    known.setdefault("headers", {}).update(answer["headers"])
    content = known.setdefault("content", {})
    added = answer["content"][MEDIA_TYPE]
    examples = content.setdefault(MEDIA_TYPE, {"schema": added["schema"], "examples": {}}).setdefault("examples", {})
    examples.update(added["examples"])

"""Errors as answers (RFC 9457): the one renderer, and what OpenAPI says of it."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.core.errors import MAX_PLACES, InvalidRequest, NotFound, Place, Problem, Unavailable, UnsupportedMediaType
from app.core.exchange import exchange_of
from app.core.headers import carrying
from app.core.sentences import sentence

MEDIA_TYPE = "application/problem+json"
SCHEMA = "#/components/schemas/Problem"
_MAX_POINTER = 256
_IN_A_PATH = "/:@!$&'()*+,;=~"  # RFC 3986, 3.3


class MalformedRequest(Problem):
    """The request can't be understood.

    It is not HTTP/1.1, or its body could not be read as what its headers say.
    """

    status = 400


class UntrustedHost(Problem):
    """The `Host` header names a host that is not served here.

    `ASSAY_HTTP__TRUSTED_HOSTS` lists the hosts that are.
    """

    status = 400


class MethodNotAllowed(Problem):
    """There is no such operation at this address.

    `Allow` lists the methods there are.
    """

    status = 405


class BodyTooSlow(Problem):
    """The body did not arrive in time."""

    status = 408


class BodyTooLarge(Problem):
    """The body is larger than the operation takes."""

    status = 413


class AddressTooLong(Problem):
    """The address is longer than any request needs.

    What is long belongs into a body.
    """

    status = 414


class HeadTooSlow(Problem):
    """The request line and headers did not arrive in time."""

    status = 408


class HeadTooLarge(Problem):
    """The request line and headers are larger than any request needs."""

    status = 431


class InternalError(Problem):
    """Something went wrong on our side.

    Nothing of the cause is told here; the log has it under the `request_id`.
    """

    status = 500


_OF_STATUS: dict[int, type[Problem]] = {
    kind.status: kind for kind in (MalformedRequest, NotFound, MethodNotAllowed, BodyTooLarge, UnsupportedMediaType)
}

_DETAILS: dict[type[Problem], str] = {
    MethodNotAllowed: "the address exists, the operation does not; `Allow` lists those there are",
    MalformedRequest: "the form could not be read",
}

_PLACES: dict[type[Problem], Place] = {  # any other body is read strictly before the framework sees it
    MalformedRequest: Place("", "form_invalid", "it is not what its Content-Type says, or has too many fields"),
}


def document(problem: Problem, *, instance: str, request_id: str) -> bytes:
    """The problem as JSON text; `instance` is a path as the application sees it, decoded.

    Texts that UTF-8 can't hold (lone surrogates) are escaped.
    """
    members: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(instance, safe=_IN_A_PATH, errors="replace"),
        "request_id": request_id,
    }
    if problem.places:
        members["errors"] = [
            {"pointer": place.pointer, "code": place.code, "message": place.message} for place in problem.places
        ]
    for name, value in problem.members.items():
        members.setdefault(name, value)
    return _encode(members)


def _encode(members: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(members, enc_hook=str)
    except (UnicodeEncodeError, TypeError, ValueError):
        return json.dumps(members, default=str).encode()


def without_memory() -> Unavailable:
    """What ran out of it undid what it had done, and the next request may find some."""
    return Unavailable("no memory is left just now", headers={"Retry-After": "1"})


def headers_of(problem: Problem) -> dict[str, str]:
    return {**problem.headers, **problem.extra_headers}


async def _answer(request: Request, problem: Problem) -> Response:
    body = document(problem, instance=request.scope["path"], request_id=exchange_of(request.scope).request_id)
    return Response(body, problem.status, headers_of(problem), media_type=MEDIA_TYPE)


async def _of_problem(request: Request, error: Problem) -> Response:
    return await _answer(request, error)


async def _of_validation(request: Request, error: RequestValidationError) -> Response:
    return await _answer(request, InvalidRequest("the request is not valid", places=places(error.errors())))


async def _of_framework(request: Request, error: HTTPException) -> Response:
    """FastAPI wraps what reading a body raises; the cause is what is meant."""
    if isinstance(error.__cause__, Problem):
        return await _answer(request, error.__cause__)
    return await _answer(request, _translated(error))


def _translated(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    kind = _OF_STATUS.get(error.status_code)
    if kind is NotFound:
        return NotFound("there is nothing at this address", headers=headers)
    if kind is not None:
        found = [_PLACES[kind]] if kind in _PLACES else []
        return kind(_DETAILS.get(kind, kind.title.lower()), places=found, headers=headers)
    problem = Problem(HTTPStatus(error.status_code).phrase, headers=headers)
    problem.status, problem.title = error.status_code, HTTPStatus(error.status_code).phrase  # type: ignore[misc]
    problem.slug = problem.title.lower().replace(" ", "-")  # type: ignore[misc]
    return problem


def places(errors: Sequence[Any]) -> list[Place]:
    """Pydantic's findings as pointers: into the body as they are, elsewhere behind `/query`, `/path`, `/header`.

    The offending input itself is never repeated.
    """
    return [Place(_pointer(error["loc"]), error["type"], sentence(error)) for error in errors[:MAX_PLACES]]


def _pointer(location: Sequence[Any]) -> str:
    parts = location[1:] if location and location[0] == "body" else location
    joined = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return joined[:_MAX_POINTER]


def render_problems(app: FastAPI) -> None:
    """Makes problem+json of everything that is raised below the edge."""
    app.add_exception_handler(Problem, _of_problem)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _of_validation)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _of_framework)  # type: ignore[arg-type]


def responses(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of the problems an operation can answer with, each with an example.

    >>> responses(NotFound)[404]["description"]
    'There is no such thing'
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        answer = answers.setdefault(
            kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMA}, "examples": {}}}}
        )
        answer["description"] = "; ".join(filter(None, (answer["description"], kind.title)))
        answer.setdefault("headers", {}).update(carrying(*kind.headers, *kind.carries)["headers"])
        answer["content"][MEDIA_TYPE]["examples"][kind.slug] = {"summary": kind.title, "value": _example(kind)}
    return answers


def _example(kind: type[Problem]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.explanation or f"{kind.title}.",
        "instance": "/api/v1/…",
        "request_id": "01J9ZQ4Y3W8V",
    }
    if kind is InvalidRequest:
        example["errors"] = [{"pointer": "/name", "code": "missing", "message": "is required"}]
    return example


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457). Some kinds carry more members than these.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "which kind of problem"},
        "title": {"type": "string", "description": "the same for all problems of the kind"},
        "status": {"type": "integer", "description": "the answer's HTTP status"},
        "detail": {"type": "string", "description": "what it is this time"},
        "instance": {"type": "string", "format": "uri-reference", "description": "the address that was asked"},
        "request_id": {"type": "string", "description": "finds the request in the log; also in `X-Request-ID`"},
        "errors": {
            "type": "array",
            "description": "the offending places, the first hundred of them",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the request"},
                    "code": {"type": "string", "description": "stable, for programs"},
                    "message": {"type": "string", "description": "for people"},
                },
            },
        },
    },
    "example": {
        "type": "/problems/invalid-request",
        "title": "The request is not well formed",
        "status": 422,
        "detail": "the request is not valid",
        "instance": "/api/v1/auth/me",
        "request_id": "01J9ZQ4Y3W8V",
        "errors": [{"pointer": "/name", "code": "missing", "message": "is required"}],
    },
}

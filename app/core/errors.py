"""Errors as answers: one class per kind, rendered once (`core.http`) as RFC 9457 problem+json."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

MAX_PLACES = 100  # the first hundred offending places tell the pattern; more would only grow the answer
RETRY_AFTER = ("Retry-After",)  # what is carried by problems that end by themselves
MAX_NAME = 160  # characters of a client's name repeated in an answer; honest names are shorter


@dataclass(frozen=True, slots=True)
class Place:
    """One offending place of a request: a JSON pointer (RFC 6901) into it, a stable code, a sentence."""

    pointer: str
    code: str
    message: str


def pointer(*steps: str) -> str:
    """Steps as a JSON pointer that any encoder can write: names are the client's, so cut and cleaned of surrogates."""
    cut = (step if len(step) <= MAX_NAME else step[:MAX_NAME] + "…" for step in steps)
    text = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in cut)
    return text.encode(errors="backslashreplace").decode()


class Problem(Exception):  # noqa: N818  the field calls it a problem (RFC 9457)
    """Base of every error the service answers with.

    A subclass states `status` and a docstring, whose first line is the `title` and the rest the `explanation`; `type`
    is derived from the class name (`IllegalMove` → `/problems/illegal-move`, where a page shows both). Keywords given
    at raising become members of the answer. `headers` come with each of the kind; `carries` names those that are given
    at raising. A subclass without status or docstring fails at import.
    """

    status: ClassVar[int]
    title: ClassVar[str]
    explanation: ClassVar[str]
    slug: ClassVar[str]
    headers: ClassVar[dict[str, str]] = {}
    carries: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[dict[str, type["Problem"]]] = {}

    def __init_subclass__(cls) -> None:
        if "status" not in cls.__dict__ or not cls.__doc__:
            raise TypeError(f"{cls.__name__} needs a status and a docstring")
        title, _, explanation = cls.__doc__.strip().partition("\n")
        cls.title = title.rstrip(".")
        cls.explanation = " ".join(explanation.split())
        cls.slug = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        if cls.slug in Problem.kinds:
            raise TypeError(f"two problems are called {cls.slug}")
        Problem.kinds[cls.slug] = cls

    def __init__(
        self, detail: str, *, places: Sequence[Place] = (), headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.places = tuple(places[:MAX_PLACES])
        self.extra_headers = headers or {}
        self.members = members


class InvalidRequest(Problem):
    """The request is not well formed.

    `errors` lists each offending place with a JSON pointer, a code and a message. Nothing was done.
    """

    status = 422


class NotFound(Problem):
    """There is no such thing."""

    status = 404


class UnsupportedMediaType(Problem):
    """The body's media type is not one that the operation reads.

    `supported` lists what is, where the operation says so; Arrow needs the server's `arrow` extra. Or the body is
    packed (`Content-Encoding`): none is unpacked.
    """

    status = 415


class Unavailable(Problem):
    """The service can't answer just now.

    A dependency (usually the database) is down, frozen or saturated. Try again after `Retry-After` seconds.
    """

    status = 503
    carries = RETRY_AFTER

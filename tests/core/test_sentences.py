"""What is wrong with a request is said in words for people."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from app.auth.schemas import ApiKeyBody, UserBody
from app.core.asked import Moment
from app.core.sentences import PATTERNS, sentence
from app.lifecycle.schemas import ReferenceBins
from app.models.schemas import VersionLabel

USER = {"email": "ada@example.com", "password": "a-long-one-of-the-tests", "role": "viewer"}
KEY = {"name": "x", "scopes": ["models:read"]}

SAID = [
    (UserBody, USER | {"email": "x"}, "must be an e-mail address, as ada@example.com"),
    (UserBody, USER | {"password": "short"}, "must have at least 12 characters"),
    (UserBody, USER | {"password": 1}, "must be text"),
    (UserBody, USER | {"weight": 1}, "is not known here"),
    (UserBody, {"email": "ada@example.com", "role": "viewer"}, "is required"),
    (UserBody, [], "must be an object"),
    (ApiKeyBody, KEY | {"name": ""}, "must have at least 1 character"),
    (ApiKeyBody, KEY | {"scopes": []}, "must have at least 1 entry"),
    (ApiKeyBody, KEY | {"models": ["m"] * 101}, "must have at most 100 entries"),
    (ApiKeyBody, KEY | {"expires_at": "9999-12-31T23:59:59Z"}, "must be before 9999-01-01T00:00:00Z"),
    (Moment, "2026-02-31T00:00:00Z", "must be a time that the calendar has, as 2026-01-01T00:00:00Z"),
    (Moment, 2026, "must be a time with its zone, as 2026-01-01T00:00:00Z (RFC 3339)"),
    (VersionLabel, "a b", PATTERNS[r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"]),
    (ReferenceBins, {"bins": [2.0, 1.0], "counts": [1]}, "edges must ascend"),
    (Literal["day", "hour"], "week", "must be 'day' or 'hour'"),
    (Annotated[float, Field(gt=0, le=1)], 0, "must be greater than 0.0"),
    (Annotated[float, Field(gt=0, le=1)], 1.5, "must be 1.0 or less"),
    (Annotated[int, Field(ge=1)], 0, "must be 1 or more"),
    (int, "x", "must be a whole number"),
    (bool, "perhaps", "must be true or false"),
    (SecretStr, None, "must be text"),
    (Annotated[str, Field(pattern="^x$")], "y", "must match ^x$"),
]


@pytest.mark.parametrize(("kind", "given", "said"), SAID, ids=[case[2][:40] for case in SAID])
def test_says_what_must_stand_there(kind: Any, given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(kind).validate_python(given)
    (finding,) = refusal.value.errors()
    assert sentence(finding) == said

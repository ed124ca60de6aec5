"""Pages by key: a cursor is the last key seen, opaque to clients, so that pages stay right while rows come and go."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from app.core.asked import Asked
from app.core.errors import InvalidRequest, Place

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_DIGITS = 9  # every such number fits the database's int4
MAX_LONG_DIGITS = 18  # and every such an int8

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: Sequence[Row]
    next_cursor: str | None  # None on the last page


class PageAsked(Asked):
    """Which page of a list; lists that can be filtered add to it."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="entries of a page at most")] = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=512, description="`next_cursor` of the page before")] = None


def after(cursor: str | None) -> str | None:
    """The key behind a cursor; one that we did not make is refused.

    >>> after(cursor_at("fraud"))
    'fraud'
    """
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, UnicodeError) as error:
        raise unknown_cursor() from error
    if "\0" in key:  # the database takes none in text
        raise unknown_cursor()
    return key


def cursor_at(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def number_after(cursor: str | None, *, digits: int = MAX_DIGITS) -> int:
    """As `after`, for lists ordered by a positive number; 0 where there is no cursor."""
    key = after(cursor)
    if key is None:
        return 0
    if not key.isascii() or not key.isdigit() or len(key) > digits:
        raise unknown_cursor()
    return int(key)


def unknown_cursor() -> InvalidRequest:
    place = Place("/query/cursor", "unknown_cursor", "not a cursor of this list")
    return InvalidRequest("the cursor is not one of ours", places=[place])


def cut(rows: Sequence[Row], limit: int, key: Callable[[Row], str]) -> Page[Row]:
    """A page of rows that were asked for with one more than `limit`, which tells whether there is another page."""
    more = len(rows) > limit
    return Page(rows[:limit], cursor_at(key(rows[limit - 1])) if more else None)

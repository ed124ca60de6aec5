"""Lists in variables: by commas, as people write them, or in JSON."""

import json
from typing import Any


def listed(written: str) -> list[Any]:
    """What begins with a bracket or has a quote in it is JSON, so that a shell which ate the quotes changes no value.

    >>> listed("localhost, 127.0.0.1"), listed('["a,b"]')
    (['localhost', '127.0.0.1'], ['a,b'])
    """
    text = written.strip()
    if not text.startswith("[") and '"' not in text:
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, list):
        raise ValueError('a list is written one,two or, in JSON, ["one","two"]')  # noqa: TRY004 - pydantic tells only of these
    return values

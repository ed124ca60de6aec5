"""Names of variables: which are settings, and what was meant by one that is none."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from app.core.settings import Group, Settings

# Read by commands and tests themselves, so they are no mistakes.
_OTHERS = frozenset({"ASSAY_URL", "ASSAY_API_KEY", "ASSAY_NEW_PASSWORD"})
_OTHERS_PREFIX = "ASSAY_TEST_"


def mistyped(names: Iterable[str]) -> Iterator[str]:
    """A sentence for each variable that looks like a setting and is none; what is not ours says nothing."""
    known = set(_variables())
    for name in sorted(map(str.upper, names)):
        if not name.startswith("ASSAY_") or name.startswith(_OTHERS_PREFIX) or name in known | _OTHERS:
            continue
        near = get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]}?" if near else "unset it;"
        yield f"{name} is no setting: {meant} `assay settings` lists all"


def _variables() -> Iterator[str]:
    for name, of in Settings.model_fields.items():
        if isinstance(of.annotation, type) and issubclass(of.annotation, Group):
            yield from (f"ASSAY_{name.upper()}__{key.upper()}" for key in of.annotation.model_fields)
        else:
            yield f"ASSAY_{name.upper()}"

"""The distribution of features that drift is measured against, as setup states it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReferenceFeature:
    """k counts over `bins`: k + 1 ascending edges of a number, or k names of a category."""

    bins: tuple[float, ...] | tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """`revision` grows when another reference takes this one's place."""

    features: Mapping[str, ReferenceFeature]
    revision: int

"""What a context stands for, remembered as long as the process lives: contexts are written once and never change."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.tracking.repository import folding
from app.tracking.rollups.grains import Contexts


class Expansions:
    """context -> (version_no, segment_nos), per model; loads what it has not met."""

    def __init__(self) -> None:
        self._known: dict[int, dict[int, tuple[int, tuple[int, ...]]]] = {}

    async def of(self, connection: Any, model_no: int, context_ids: NDArray[Any]) -> Contexts:
        """The model's contexts, among them all of `context_ids`."""
        known = self._known.setdefault(model_no, {})
        wanted = [context for context in np.unique(context_ids).tolist() if context not in known]
        if wanted:
            known.update(await folding.contexts(connection, model_no, wanted))
        return known

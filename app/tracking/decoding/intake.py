"""From a body to checked rows: decoding, the rules, and what the first rows of a model teach it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from app.core.compute import beside
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.batch import LabelBatch, PredictionBatch
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.decoding.decode import at_hand, decode_labels, decode_predictions
from app.tracking.decoding.rules import check_labels, check_predictions

Batch = TypeVar("Batch", PredictionBatch, LabelBatch)
Checked = TypeVar("Checked", CheckedPredictions, CheckedLabels)

# About 1,000 rows of ten features as JSON, which take 2 ms; as Arrow it would be 3,000, in half of that.
LOOP_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class Intake(Generic[Batch, Checked]):
    """One kind of rows."""

    decode: Callable[..., Batch]
    check: Callable[..., Checked]

    async def read(
        self, body: bytes, content_type: str, facts: ModelFacts, *, now_us: int, max_rows: int, imported: bool
    ) -> Batch:
        work = partial(
            self.decode, body, content_type, facts, now_us=now_us, max_rows=max_rows, imported=imported
        )  # fmt: skip
        return await beside(len(body), work, limit=LOOP_BYTES if at_hand(content_type) else 0)

    async def admit(
        self, batch: Batch, facts: ModelFacts, catalogue: Catalogue, *, now_us: int
    ) -> tuple[ModelFacts, Checked]:
        """The rows with every name resolved, and the facts that know all their classes.

        Classes are added when the rows have passed every rule, but before these are stored: should storing fail, the
        model knows classes without rows, which changes no number.
        """
        checked = await beside(len(batch), partial(self.check, batch, facts, now_us=now_us))
        if checked.new_classes:
            facts = await catalogue.add_classes(facts.id, checked.new_classes)
            checked = await beside(len(batch), partial(self.check, batch, facts, now_us=now_us))
        return facts, checked


PREDICTIONS: Intake[PredictionBatch, CheckedPredictions] = Intake(decode_predictions, check_predictions)
LABELS: Intake[LabelBatch, CheckedLabels] = Intake(decode_labels, check_labels)

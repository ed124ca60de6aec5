"""What the hot path must know of a model: one small frozen value, cached per process."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.stats.tally import Shape, Task


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as tracking and analytics see it; `revision` grows with every change of what stands here."""

    id: int  # the database's number; `model_id` is the public name
    model_id: str
    task: Task
    classes: tuple[str, ...]  # in the order of the class index; () for regression
    positive: int  # index of the positive class; binary only
    threshold: float  # binary: score >= threshold predicts the positive class, for versions without their own
    allow_new_classes: bool
    schema: Mapping[str, str]  # feature -> "number" | "category" | "boolean"; {} where none is declared
    versions: Mapping[str, int]  # public label -> version_no, unique over all models
    default_version: str  # the champion, else the latest
    retention_days: int
    revision: int
    archived: bool = False  # can be read, takes nothing new in
    thresholds: Mapping[str, float] = field(default_factory=dict)  # binary: label -> what that version's setup says

    @property
    def shape(self) -> Shape:
        """The code space of this model's statistics."""
        return Shape(self.task, len(self.classes), self.positive)

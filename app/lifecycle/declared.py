"""What a setup declares of a model, and whether it agrees with what was declared before; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.errors import InvalidRequest, Place
from app.lifecycle.errors import SetupConflict
from app.lifecycle.schemas import DatasetConfig, ModelInfo, SetupRequest
from app.stats.tally import Task

Document = dict[str, Any]
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Declared:
    """What a version's setup comes to; all but the threshold is shared by the versions of a model."""

    task: Task
    classes: tuple[str, ...]
    positive: int
    threshold: float
    allow_new_classes: bool
    schema: Mapping[str, str]
    retention_days: int | None  # None: the general setting
    reference: Document | None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a setup may change what holds for the rows that are there."""

    kept_days: int  # for so long they are kept
    tracked: bool  # there are any
    may_purge: bool  # whoever asks may take data away


def declare(request: SetupRequest) -> Declared:
    """Of a model that is set up for the first time. Raises `InvalidRequest` at what doesn't fit the task."""
    info, dataset = request.model_info, request.dataset_config
    task = Task(info.task or Task.BINARY)
    classes = tuple(info.classes or (("0", "1") if task is Task.BINARY else ()))
    _refuse([*_unfit_classes(task, classes), *_unfit_keys(task, info, dataset)])
    declared = Declared(
        task=task,
        classes=classes,
        positive=_positive(task, classes, info.positive_class),
        threshold=DEFAULT_THRESHOLD if dataset.threshold is None else dataset.threshold,
        allow_new_classes=bool(dataset.allow_new_classes),
        schema=dataset.feature_schema or {},
        retention_days=dataset.retention_days,
        reference=_reference(dataset),
    )
    _refuse(_unfit_reference(declared))
    return declared


def extend(known: Declared, request: SetupRequest, terms: Terms) -> Declared:
    """Of a known model, by another version.

    A threshold is the version's own, a reference takes the place of the one before. All else is the model's: it may
    add to what other versions stated, not contradict it, and narrow what they left open only while there are no rows
    or by whoever may purge. Raises `SetupConflict`, and `InvalidRequest` as `declare`.
    """
    info, dataset = request.model_info, request.dataset_config
    _refuse_conflicts(
        [
            *_other_task(known, info),
            *_other_classes(known, info),
            *_other_rules(known, dataset, terms),
            *_other_retention(known, dataset, terms),
        ]
    )
    _refuse(_unfit_keys(known.task, info, dataset))
    classes = known.classes + tuple(info.classes or ())[len(known.classes) :]
    declared = Declared(
        task=known.task,
        classes=classes,
        positive=known.positive,
        threshold=known.threshold if dataset.threshold is None else dataset.threshold,
        allow_new_classes=known.allow_new_classes if dataset.allow_new_classes is None else dataset.allow_new_classes,
        schema=known.schema if dataset.feature_schema is None else dataset.feature_schema,
        retention_days=known.retention_days if dataset.retention_days is None else dataset.retention_days,
        reference=known.reference if dataset.reference is None else _reference(dataset),
    )
    _refuse(_unfit_reference(declared))
    return declared


def documents(request: SetupRequest, declared: Declared) -> tuple[Document, Document]:
    """`model_info` and `dataset_config`, complete: what was left out stands with its value."""
    binary = declared.task is Task.BINARY
    info = request.model_info.model_dump() | {
        "task": str(declared.task),
        "classes": list(declared.classes),
        "positive_class": declared.classes[declared.positive] if binary else None,
    }
    dataset = request.dataset_config.model_dump() | {
        "schema": dict(declared.schema),
        "reference": None if declared.reference is None else {"features": declared.reference},
        "allow_new_classes": declared.allow_new_classes,
        "threshold": declared.threshold if binary else None,
        "retention_days": declared.retention_days,
    }
    return info, dataset


def refuse_changes(request: SetupRequest, info: Document, dataset: Document, terms: Terms) -> None:
    """A version's own setup again: raises `SetupConflict` at each key that is stated and differs.

    What is left out, or was left open before, contradicts nothing, nor does the retention by whoever may purge.
    """
    stated = request.dataset_config.model_dump(exclude={"retention_days"}, exclude_unset=True, exclude_none=True)
    fixed = restated_retention(request, dataset) is not None and not terms.may_purge
    _refuse_conflicts(
        [
            *_changes("/model_info", request.model_info.model_dump(exclude_unset=True, exclude_none=True), info),
            *_changes("/dataset_config", stated, dataset),
            *([_fixed_retention(terms)] if fixed else []),
        ]
    )


def restated_retention(request: SetupRequest, dataset: Document) -> int | None:
    """What a version's own setup says of the retention, where it said something else, or nothing, before."""
    days = request.dataset_config.retention_days
    return None if days == dataset["retention_days"] else days


def _changes(within: str, stated: Document, known: Document) -> Iterator[Place]:
    open_ = ("training_data_hash", "model_type")
    for name, value in stated.items():
        if value != known[name] and not (name in open_ and known[name] is None):
            shown = _shown(known[name])
            yield Place(f"{within}/{name}", "conflict", f"was {shown}" if len(shown) <= 160 else "was another")


def _shown(value: Any) -> str:
    """As a setup writes it."""
    return "left open" if value is None else msgspec.json.encode(value).decode()


def _positive(task: Task, classes: tuple[str, ...], stated: str | None) -> int:
    if task is not Task.BINARY:
        return 0
    if stated is None:
        return 1  # scikit-learn's convention: classes_[1]
    if stated not in classes:
        raise _invalid([Place("/model_info/positive_class", "unknown_class", f"is none of {', '.join(classes)}")])
    return classes.index(stated)


def _unfit_classes(task: Task, classes: tuple[str, ...]) -> Iterator[Place]:
    count = len(classes)
    if task is Task.BINARY and count != 2:
        yield Place("/model_info/classes", "wrong_number", f"binary has two classes, not {count}")
    if task is Task.MULTICLASS and not count:
        yield Place("/model_info/classes", "missing", "multiclass needs its classes")
    if task is Task.REGRESSION and count:
        yield Place("/model_info/classes", "not_of_task", "regression has no classes")


def _unfit_keys(task: Task, info: ModelInfo, dataset: DatasetConfig) -> Iterator[Place]:
    keys = (
        ("/model_info/positive_class", info.positive_class is not None, (Task.BINARY,)),
        ("/dataset_config/threshold", dataset.threshold is not None, (Task.BINARY,)),
        ("/dataset_config/allow_new_classes", dataset.allow_new_classes, (Task.MULTICLASS,)),
        ("/dataset_config/stratification", dataset.stratification, (Task.BINARY, Task.MULTICLASS)),
    )
    for pointer, given, tasks in keys:
        if given and task not in tasks:
            yield Place(pointer, "not_of_task", f"is for {' and '.join(tasks)}, not for {task}")
    if dataset.reference is not None and dataset.reference.dataset_id is not None:
        yield Place("/dataset_config/reference/dataset_id", "unknown_dataset", "there is no such data set")


def _unfit_reference(declared: Declared) -> Iterator[Place]:
    if declared.reference is None or not declared.schema:
        return
    for name, feature in declared.reference.items():
        pointer = f"/dataset_config/reference/features/{name.replace('~', '~0').replace('/', '~1')}"
        kind = declared.schema.get(name)
        if kind is None:
            yield Place(pointer, "unknown_feature", "is not in the schema")
        elif (kind == "number") == isinstance(feature["bins"][0], str):
            yield Place(f"{pointer}/bins", "wrong_type", f"do not fit a {kind}")


def _other_task(known: Declared, info: ModelInfo) -> Iterator[Place]:
    if info.task is not None and info.task != known.task:
        yield Place("/model_info/task", "conflict", f"the model's task is {known.task}")


def _other_classes(known: Declared, info: ModelInfo) -> Iterator[Place]:
    """A model that takes new classes agrees with any list that begins as its own does."""
    stated = tuple(info.classes or known.classes)
    shared = min(len(stated), len(known.classes))
    grows = known.allow_new_classes and stated[:shared] == known.classes[:shared]
    if stated != known.classes and not grows:
        yield Place("/model_info/classes", "conflict", f"the model's classes are {', '.join(known.classes) or 'none'}")
    positive = known.classes[known.positive] if known.task is Task.BINARY else None
    if info.positive_class is not None and positive is not None and info.positive_class != positive:
        yield Place("/model_info/positive_class", "conflict", f"the model's positive class is {positive}")


def _other_rules(known: Declared, dataset: DatasetConfig, terms: Terms) -> Iterator[Place]:
    """What holds for the rows of all versions, so that two versions can't state it differently."""
    stated = dataset.feature_schema
    if stated is not None and not known.schema.items() <= stated.items():
        message = f"must hold the model's features as they are: {_shown(dict(known.schema))}"
        yield Place("/dataset_config/schema", "conflict", message if len(message) <= 200 else message[:200] + "…")
    if stated and not known.schema and terms.tracked and not terms.may_purge:
        message = "would refuse rows that the model takes without one; leave it out, or state it with the scope purge"
        yield Place("/dataset_config/schema", "conflict", message)
    if dataset.allow_new_classes is not None and dataset.allow_new_classes != known.allow_new_classes:
        message = f"is {str(known.allow_new_classes).lower()} for the model"
        yield Place("/dataset_config/allow_new_classes", "conflict", message)


def _other_retention(known: Declared, dataset: DatasetConfig, terms: Terms) -> Iterator[Place]:
    """Upkeep drops what is older: a shorter one is a purge, and a longer one must be there to take that back."""
    days = dataset.retention_days
    if days is None or days == known.retention_days or terms.may_purge:
        return
    if known.retention_days is not None or (terms.tracked and days < terms.kept_days):
        yield _fixed_retention(terms)


def _fixed_retention(terms: Terms) -> Place:
    message = f"is {terms.kept_days} for the model; leave it out, or state another with the scope purge"
    return Place("/dataset_config/retention_days", "conflict", message)


def _reference(dataset: DatasetConfig) -> Document | None:
    if dataset.reference is None or dataset.reference.features is None:
        return None
    return {name: feature.model_dump() for name, feature in dataset.reference.features.items()}


def _refuse(places: Iterator[Place] | list[Place]) -> None:
    found = list(places)
    if found:
        raise _invalid(found)


def _refuse_conflicts(places: list[Place]) -> None:
    if places:
        raise SetupConflict(f"{places[0].pointer} {places[0].message}", places=places)


def _invalid(places: list[Place]) -> InvalidRequest:
    return InvalidRequest(f"{places[0].pointer} {places[0].message}", places=places)

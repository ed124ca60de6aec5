"""Models as other slices' tests need them: one call, straight into the registry."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.clock import from_datetime, to_datetime
from app.db.engine import Database
from app.models.catalogue import CHAMPION, Catalogue
from app.models.facts import ModelFacts
from app.models.repository import ModelRepository
from tests.support.times import NOON

CLASSES = {"binary": ("0", "1"), "multiclass": ("cat", "dog", "owl"), "regression": ()}


async def make_model(
    database: Database,
    model_id: str = "m1",
    *,
    task: str = "binary",
    classes: Sequence[str] | None = None,
    positive: int | None = None,
    threshold: float = 0.5,
    allow_new_classes: bool = False,
    schema: Mapping[str, str] | None = None,
    versions: Sequence[str] = ("1",),
    champion: str | None = None,
    retention_days: int | None = None,
    reference: Mapping[str, Any] | None = None,
    created_us: int | None = None,
) -> ModelFacts:
    """A model in the state `registered`; `reference` as in setup: `{feature: {"bins": […], "counts": […]}}`."""
    labels = list(CLASSES[task] if classes is None else classes)
    created = to_datetime(from_datetime(NOON) if created_us is None else created_us)
    async with database.write() as session:
        repository = ModelRepository(session)
        await repository.insert_if_absent(
            model_id=model_id,
            task=task,
            classes=labels,
            positive=(1 if task == "binary" else 0) if positive is None else positive,
            threshold=threshold,
            allow_new_classes=allow_new_classes,
            feature_schema=dict(schema or {}),
            retention_days=retention_days,
            reference=None if reference is None else dict(reference),
            reference_revision=0 if reference is None else 1,
            revision=1,
            lifecycle_revision=1,
            created_at=created,
        )
        model = await repository.lock(model_id)
        assert model is not None
        rows = [
            await repository.add_version(
                model.id, version, model_type=None, training_data_hash=None, by="test", at=created
            )
            for version in versions
        ]
        if champion is not None:
            await repository.point(model.id, CHAMPION, rows[list(versions).index(champion)].id)
    return await Catalogue(database).facts(model_id)

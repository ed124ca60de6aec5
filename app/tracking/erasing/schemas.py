"""What to purge, over the wire."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from app.models.schemas import ModelId, Request, example
from app.tracking.decoding.texts import MAX_ID

MAX_SUBJECTS = 1000
MAX_IDS = 1000
_SUBJECTS: dict[str, Any] = {"subjects": ["customer-4711"]}

Subject = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
PredictionId = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID})]  # checked as ingest does


class PurgeRequest(Request):
    """Some subjects' rows, some predictions, or everything that was tracked of the model, whose id is then repeated."""

    model_config = example(_SUBJECTS)

    subjects: list[Subject] | None = Field(
        None, min_length=1, max_length=MAX_SUBJECTS, description="as they were sent with their predictions"
    )
    prediction_ids: list[PredictionId] | None = Field(
        None, min_length=1, max_length=MAX_IDS, description="for where no `subject` was sent; unknown ones are counted"
    )
    everything_of: ModelId | None = Field(None, description="the model's id once more")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if [self.subjects, self.prediction_ids, self.everything_of].count(None) != 2:
            raise ValueError("give `subjects`, `prediction_ids` or `everything_of`, one of them")
        return self

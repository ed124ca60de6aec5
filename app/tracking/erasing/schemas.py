"""What to purge, over the wire."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from app.models.schemas import ModelId, Request, example

MAX_SUBJECTS = 1000
_SUBJECTS: dict[str, Any] = {"subjects": ["customer-4711"]}

Subject = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]


class PurgeRequest(Request):
    """Some subjects' rows, or everything that was tracked of the model, whose id is then repeated."""

    model_config = example(_SUBJECTS)

    subjects: list[Subject] | None = Field(
        None, min_length=1, max_length=MAX_SUBJECTS, description="as they were sent with their predictions"
    )
    everything_of: ModelId | None = Field(None, description="the model's id once more")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.subjects is None) == (self.everything_of is None):
            raise ValueError("give `subjects` or `everything_of`, one of them")
        return self

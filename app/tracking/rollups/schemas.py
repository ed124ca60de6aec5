"""What a recount is asked to do, over the wire."""

from pydantic import Field

from app.models.schemas import Request, example


class RecountRequest(Request):
    model_config = example({"mend": False})

    mend: bool = Field(False, description="whether what differs is counted again from the raw rows")

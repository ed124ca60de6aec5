"""How a question about the rollups can be refused."""

from app.core.errors import Problem


class UnknownSegment(Problem):
    """The model has no such segment.

    A segment is written `key:value`; `known` lists what the model's predictions carry (the first hundred).
    """

    status = 422

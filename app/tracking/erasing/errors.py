"""What can be wrong with a request to purge."""

from app.core.errors import Problem


class ModelNotArchived(Problem):
    """The model is in use: only an archived one is purged as a whole.

    `DELETE /models/{model_id}` archives it. To erase some subjects or predictions name them; that needs no archiving.
    """

    status = 409

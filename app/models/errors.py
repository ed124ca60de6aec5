"""What can be wrong with a request about models."""

from app.core.errors import Problem


class ModelNotFound(Problem):
    """There is no such model.

    A model comes into being by `POST /models/{model_id}/tracking/setup`.
    """

    status = 404

    @classmethod
    def of(cls, model_id: str) -> "ModelNotFound":
        """With what makes one of this id."""
        setup = f"POST /api/v1/models/{model_id}/tracking/setup"
        return cls(f"there is no model {model_id}; {setup} makes it", model_id=model_id)


class VersionNotFound(Problem):
    """There is no such version of this model."""

    status = 404


class AliasNotFound(Problem):
    """There is no such alias of this model."""

    status = 404


class UnknownVersion(Problem):
    """The request names a version that this model doesn't have.

    Register it first: by setup, or `POST /models/{model_id}/versions`.
    """

    status = 422


class VersionConflict(Problem):
    """This version exists with other content.

    What a version was trained on and how its data were split never changes. Give the change a version label of its own.
    """

    status = 409


class ModelArchived(Problem):
    """The model is archived.

    Its data can be read until retention removes them; nothing new is taken in.
    """

    status = 409


class ModelInUse(Problem):
    """The model has a version in staging or production.

    Roll it back or deprecate it before archiving the model.
    """

    status = 409


class IllegalMove(Problem):
    """This move between lifecycle states is not allowed.

    `allowed_transitions` names the states that the version can go to.
    """

    status = 409


class SetupMissing(Problem):
    """The version was registered without a setup.

    A version is tracked from its setup on.
    """

    status = 409


class TooManyClasses(Problem):
    """The model can't take more classes.

    A confusion matrix is kept for every bucket of time; beyond a thousand classes a label is hardly one.
    """

    status = 422

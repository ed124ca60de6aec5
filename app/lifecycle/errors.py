"""What can be wrong with a setup or a change of state."""

from app.core.errors import Problem


class SetupConflict(Problem):
    """The setup contradicts what was set up before.

    `errors` points at each key that differs. What a version was trained on, its task and its split never change: give
    the change a version label of its own. Monitoring may change any time, and how long rows are kept with the scope
    `purge`.
    """

    status = 409


class PreconditionMissing(Problem):
    """The change needs an `If-Match` header.

    It carries the `ETag` of the lifecycle status that the change was decided upon.
    """

    status = 428


class StaleRevision(Problem):
    """The lifecycle changed since it was read.

    Read the status again, decide again, and send the new `ETag` in `If-Match`.
    """

    status = 412

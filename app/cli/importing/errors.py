"""What can be wrong with a file or with what was said about it."""


class FileProblem(Exception):  # noqa: N818
    """The file can't be imported as told; the message names the file, the place and the way out."""

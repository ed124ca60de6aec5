"""Names by which a server may be called."""

import re

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def is_host(name: str) -> bool:
    """Whether a client may send it as its `Host`, whose port is taken off before it is compared.

    >>> [is_host(name) for name in ("assay.example.com", "[::1]")]
    [True, True]
    >>> [is_host(name) for name in ("https://assay.example.com", "assay:443", "*.example.com", "::1")]
    [False, False, False, False]
    """
    return _HOST.fullmatch(name) is not None

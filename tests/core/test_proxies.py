"""Whose address counts behind proxies."""

import pytest

from app.core.proxies import Proxies

OURS = Proxies(("10.0.0.0/8", "::1"))


class TestClient:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "client"),
        [
            ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),  # not from a proxy of ours: anybody can write that
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),  # the client's own claim stands left
            ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),  # two proxies
            ("10.0.0.1", ["1.2.3.4", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),  # in several lines
            ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # from within
            ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),  # a proxy that doesn't know whom it saw
            ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("::1", ["2001:db8::7"], "2001:db8::7"),
            ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
            ("", ["198.51.100.1"], ""),  # a Unix socket has no address
        ],
    )
    def test_is_the_nearest_that_is_no_proxy(self, peer: str, forwarded: list[str], client: str) -> None:
        headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
        assert OURS.client(peer, headers) == client

    def test_is_the_peer_where_none_are_trusted(self) -> None:
        assert Proxies(()).client("10.0.0.1", [(b"x-forwarded-for", b"198.51.100.1")]) == "10.0.0.1"

"""Who asks, where proxies stand between: forwarded addresses are believed as far as they come from trusted ones."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class Proxies:
    """`trusted`: addresses or networks (10.0.0.0/8) of our own proxies; each adds to `X-Forwarded-For` whom it saw."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = tuple(ip_network(each) for each in trusted)

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The nearest address that is no proxy of ours; what stands left of it anybody may have written."""
        if not self._networks or not self._ours(_address(peer)):
            return peer
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            address = _address(hop.strip())
            if address is None:
                break
            peer = str(address)
            if not self._ours(address):
                break
        return peer

    def _ours(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

"""Who is at the other end when proxies stand between: read from right to left, believing only what a trusted proxy wrote.

Only X-Forwarded-For is read. A proxy that writes one header lets the client's other one through, so reading both
would let the client choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# More proxies in a row than anybody has; what a client wrote beyond them is not even parsed.
MOST_HOPS = 16
# What one customer of an IPv6 provider is given at least: addresses within it cost nothing.
IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose X-Forwarded-For is believed."""

    networks: tuple[Network, ...] = ()

    def __contains__(self, address: Address) -> bool:
        return any(address in network for network in self.networks)

    def overlaps(self, network: Network) -> Network | None:
        """The first trusted network that shares addresses with the given one."""
        return next((each for each in self.networks if share(each, network)), None)


def share(one: Network, other: Network) -> bool:
    """Whether two networks have an address in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def holds_all(one: Network, other: Network) -> bool:
    """Whether every address of `other` is in `one`."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and other.subnet_of(one)
    return isinstance(other, IPv6Network) and other.subnet_of(one)


def parse_address(text: str) -> Address | None:
    """The address, also with a port; an IPv4 address in IPv6's clothes as itself; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        if port and not (port[0] == ":" and port[1:].isdecimal()):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def client_address(
    peer: str | None, *, forwarded_for: Sequence[str], trusted: TrustedProxies
) -> Address | None:
    """The client's address. `forwarded_for`: the X-Forwarded-For headers in their order. None when there is no peer address.

    Each proxy adds on the right whom it was called by. From the right, every address that a trusted proxy wrote is
    believed; the first that is not a trusted proxy itself is the client. Where the chain breaks off in garbage, the
    last address that was believed stands.
    """
    address = parse_address(peer) if peer else None
    if address is None or not trusted.networks:
        return address
    hops = ",".join(forwarded_for).rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    while address in trusted and hops:
        behind = parse_address(hops.pop())
        if behind is None:
            break
        address = behind
    return address


def limited_as(address: Address) -> str:
    """What is counted together: an IPv4 address, or the /64 around an IPv6 address."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))

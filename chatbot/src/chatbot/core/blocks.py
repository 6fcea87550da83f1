"""Addresses that are not answered, for a time: what may be blocked, and whether an address is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from chatbot.core.client_address import IPV6_PREFIX, Address, Network, TrustedProxies, parse_address, share
from chatbot.errors import BadRequest

LONGEST = timedelta(days=30)
# Wider would be a whole provider: that belongs into a firewall.
WIDEST_IPV4, WIDEST_IPV6 = 16, 32
# More than that is better said as networks; every process reads all of them each second.
MOST_BLOCKS = 1000
# So long after its end a block is remembered, so that a copy elsewhere that missed its lifting cannot bring it back.
REMEMBERED = timedelta(hours=1)

_LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A network that is not answered until `expires_at`, or one whose block was lifted before that."""

    network: Network
    reason: str
    changed_by: str
    changed_at: datetime
    expires_at: datetime
    lifted: bool = False

    def holds(self, now: datetime) -> bool:
        return not self.lifted and now < self.expires_at

    def seconds_left(self, now: datetime) -> int:
        return max(0, int((self.expires_at - now).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockChange:
    """A block after a change, and what it was before, where there was one in force."""

    block: Block
    previous: Block | None

    def undo(self, now: datetime) -> dict[str, Any]:
        """The request that takes the change back."""
        if self.previous is None:
            return {"method": "DELETE", "path": f"/api/admin/blocks/{self.block.network}", "body": None}
        return {
            "method": "POST",
            "path": "/api/admin/blocks",
            "body": {
                "ip": str(self.previous.network),
                "seconds": max(1, self.previous.seconds_left(now)),
                "reason": self.previous.reason,
                "force": True,
            },
        }


def parse_network(text: str) -> Network:
    """The network that is meant by an address or a CIDR. A single IPv6 address means its /64: its owner has all of it.

    Raises BadRequest for anything else and for what is too wide.
    """
    try:
        network = _network(text)
    except ValueError as error:
        raise BadRequest(
            f"'{text[:80]}' is neither an IP address nor a network.",
            remedy="Give an address such as 203.0.113.9, or a network without host bits such as 203.0.113.0/24.",
        ) from error
    widest = WIDEST_IPV4 if isinstance(network, IPv4Network) else WIDEST_IPV6
    if network.prefixlen < widest:
        raise BadRequest(
            f"{network} is too wide: at most a /{widest} can be blocked.",
            remedy="Block narrower networks, or put this one into the firewall.",
        )
    return network


def _network(text: str) -> Network:
    if "/" in text:
        network = ip_network(text)
        if isinstance(network, IPv6Network) and network.prefixlen >= 96:
            mapped = network.network_address.ipv4_mapped
            return network if mapped is None else ip_network((mapped, network.prefixlen - 96))
        return network
    address = parse_address(text)
    if address is None:
        raise ValueError(text)
    prefix = IPV6_PREFIX if isinstance(address, IPv6Address) else 32
    return ip_network((address, prefix), strict=False)


def check_harmless(network: Network, *, trusted: TrustedProxies, caller: Address | None) -> None:
    """Raises BadRequest when a block would shut out everybody, this machine, or whoever asks for it."""
    if proxy := trusted.overlaps(network):
        what = f"the trusted proxy {proxy}, behind which everybody is"
    elif loopback := next((each for each in _LOOPBACK if share(each, network)), None):
        what = f"this machine itself ({loopback})"
    elif caller is not None and caller in network:
        what = f"{caller}, from where this request comes"
    else:
        return
    raise BadRequest(
        f"Blocking {network} would shut out {what}.",
        remedy='Check the address. If it is really meant, send the same with "force": true, or --force.',
    )


class Blocklist:
    """Blocks, so held that an address is looked up in as many steps as there are prefix lengths among them."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._by_prefix: dict[tuple[int, int], dict[Network, Block]] = {}
        for block in blocks:
            if not block.lifted:
                network = block.network
                self._by_prefix.setdefault((network.version, network.prefixlen), {})[network] = block

    def covering(self, address: Address, now: datetime) -> Block | None:
        """A block in force that the address is in."""
        for (version, prefix), blocks in self._by_prefix.items():
            if version == address.version:
                block = blocks.get(ip_network((address, prefix), strict=False))
                if block is not None and block.holds(now):
                    return block
        return None


def later(held: Block, read: Block) -> Block:
    """The one of two readings of a block that was changed later."""
    return read if read.changed_at > held.changed_at else held


def remembered(blocks: Mapping[Network, Block], now: datetime) -> dict[Network, Block]:
    """Without those that ended long ago."""
    return {network: block for network, block in blocks.items() if now < block.expires_at + REMEMBERED}

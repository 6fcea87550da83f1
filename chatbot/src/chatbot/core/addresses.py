"""Which addresses a fetched page may come from: public ones only, whatever name led there."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from chatbot.errors import DocumentRefused

LONGEST_URL = 2_000
_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Parts of it that lead to IPv4 addresses or to nowhere, and so around the check.
_REFUSED = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )  # Teredo and others, examples, 6to4, examples
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart and found to be one that may be fetched, before its name is resolved."""

    url: str
    scheme: str
    host: str
    port: int


def target_of(url: str, *, allowed: frozenset[str] = frozenset()) -> Target:
    """The target of an http(s) URL without credentials, on the usual port. `allowed`: HOST:PORT that need not be usual.

    Raises DocumentRefused.
    """
    if len(url) > LONGEST_URL:
        raise DocumentRefused(f"The address has {len(url)} characters; at most {LONGEST_URL} are taken.")
    if any(letter <= " " or letter == "\x7f" or letter == "\\" for letter in url):
        raise DocumentRefused("The address holds a blank, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise DocumentRefused(f"'{url[:200]}' is no address: {error}.") from error
    if parts.scheme not in _PORTS or not host:
        raise DocumentRefused(f"'{url[:200]}' is no address that begins with http:// or https://.")
    if "@" in parts.netloc:
        raise DocumentRefused(
            "The address holds a user or a password; pages behind a sign-in are not fetched."
        )
    target = Target(url=url, scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme])
    if target.port not in _PORTS.values() and not is_allowed(target, allowed):
        raise DocumentRefused(f"The address names port {target.port}; pages are fetched from 80 and 443.")
    return target


def is_allowed(target: Target, allowed: frozenset[str]) -> bool:
    """Whether an operator named the host and port: it may then be anywhere."""
    return f"{target.host}:{target.port}" in allowed


def is_public(address: str) -> bool:
    """Whether the address is one of the public internet. False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return _is_public_v4(found)
    return _is_public_v6(found)


def _is_public_v4(address: IPv4Address) -> bool:
    # is_global leaves out private, loopback, link-local, shared (CGNAT), documentation and benchmarking networks.
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _is_public_v6(address: IPv6Address) -> bool:
    # Only global unicast: mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96), unique local and link-local are outside of it.
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in _REFUSED)

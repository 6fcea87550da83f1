"""Who is at the other end, behind proxies that are trusted and those that are not."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot.core.client_address import TrustedProxies, client_address, limited_as, parse_address

TRUSTED = TrustedProxies(tuple(map(ip_network, ("10.0.0.0/8", "2001:db8:ff::/48", "192.0.2.7/32"))))

# peer, X-Forwarded-For headers in their order, the client
CASES = [
    ("198.51.100.1", [], "198.51.100.1"),
    ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),  # nobody that is trusted wrote it
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
    ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # the client wrote 1.1.1.1 itself
    ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),  # two headers are one list
    ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),  # two proxies in a row
    ("10.0.0.1", ["203.0.113.9,192.0.2.7 ,\t10.9.9.9"], "203.0.113.9"),
    ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # all trusted: the one farthest away
    ("10.0.0.1", ["garbage"], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.9, garbage"], "10.0.0.1"),  # the chain breaks off
    ("10.0.0.1", ["203.0.113.9, garbage, 10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
    ("10.0.0.1", [""], "10.0.0.1"),
    ("10.0.0.1", ["unknown"], "10.0.0.1"),
    ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
    ("10.0.0.1", ["[2001:db8::5]:4711"], "2001:db8::5"),
    ("10.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
    ("10.0.0.1", ["2001:db8::5"], "2001:db8::5"),
    ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),  # IPv4 in IPv6's clothes
    ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
    ("10.0.0.1", ["203.0.113.9; DROP TABLE tenants"], "10.0.0.1"),
    ("10.0.0.1", ["0203.0.113.9"], "10.0.0.1"),  # octal, or not: nobody agrees
    ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),  # a socket for both families
    ("2001:db8:ff::1", ["203.0.113.9"], "203.0.113.9"),
    ("2001:db8:fe::1", ["203.0.113.9"], "2001:db8:fe::1"),
    ("10.0.0.1", ["203.0.113.9" + ", 10.0.0.2" * 40], "10.0.0.2"),  # no chain is that long
    (None, ["203.0.113.9"], None),
]


@pytest.mark.parametrize(("peer", "headers", "client"), CASES)
def test_only_what_a_trusted_proxy_wrote_is_believed(
    peer: str | None, headers: list[str], client: str | None
) -> None:
    """From the right, and up to the first address that is no trusted proxy."""
    found = client_address(peer, forwarded_for=headers, trusted=TRUSTED)
    assert found == (ip_address(client) if client else None)


def test_without_trusted_proxies_no_header_counts() -> None:
    """The default believes the connection only."""
    found = client_address("10.0.0.1", forwarded_for=["203.0.113.9"], trusted=TrustedProxies())
    assert str(found) == "10.0.0.1"


@given(forged=st.text(max_size=60), client=st.ip_addresses(v=4))
def test_nothing_that_a_client_writes_changes_its_address(forged: str, client: object) -> None:
    """Whatever stands to the left of what the proxy added."""
    address = parse_address(str(client))
    assert address is not None
    if address not in TRUSTED:
        found = client_address("10.0.0.1", forwarded_for=[f"{forged}, {client}"], trusted=TRUSTED)
        assert found == address


def test_a_customers_whole_ipv6_network_is_counted_as_one() -> None:
    """Addresses within a /64 cost nothing; an IPv4 address is one."""
    assert limited_as(ip_address("2001:db8::5")) == limited_as(ip_address("2001:db8::ffff:1"))
    assert limited_as(ip_address("2001:db8::5")) != limited_as(ip_address("2001:db8:0:1::5"))
    assert limited_as(ip_address("203.0.113.9")) == "203.0.113.9"

"""Which addresses alerts may be sent to, in every form in which they can be written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.alerting.addresses import meant, objection

REFUSED = [
    *("127.0.0.1", "127.255.0.9", "::1"),
    *("10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fd12:3456::1", "fec0::1"),
    *("169.254.1.1", "fe80::1", "fe80::1%eth0"),
    *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9"),
    *("240.0.0.1", "192.88.99.1", "100::1", "2001:db8::1", "2001::1", "3fff::1", "5f00::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1", "::7f00:1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::"),
    *("4000::1", "::2:0:0:1"),
]
NEVER = [
    *("0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255"),  # noqa: S104
    *("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254"),
    *("100.100.100.200", "168.63.129.16", "fd00:ec2::254"),
]
PUBLIC = ["8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
PUBLIC += ["64:ff9b::8.8.8.8", "2002:808:808::1", "100.63.255.255", "100.128.0.1"]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused_unless_it_is_allowed(address: str) -> None:
    assert objection(address, allow_private=False)
    assert objection(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_what_is_no_receiver_is_refused_always(address: str) -> None:
    assert objection(address, allow_private=False)
    assert objection(address, allow_private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert objection(address, allow_private=False) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_inside_ipv6(address: IPv4Address) -> None:
    number = int(address)
    forms = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]
    plain = objection(str(address), allow_private=False)
    for form in forms:
        assert meant(form) == address
        assert objection(str(form), allow_private=False) == plain


@given(st.ip_addresses())
def test_what_python_calls_private_is_refused(address: IPv4Address | IPv6Address) -> None:
    known = meant(ip_address(str(address)))
    if known.is_private or known.is_multicast or known.is_reserved:
        assert objection(str(address), allow_private=False)

"""Which addresses alerts may be sent to: not those of the machine and the networks around it.

Whoever can set an alert's address, or answers for its name, must not reach what only this machine
can reach. Judges addresses; resolves and opens nothing.
Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network


def _table(rows: Mapping[str, str]) -> tuple[tuple[_Network, str], ...]:
    return tuple(
        (ip_network(network), kind)
        for kind, networks in rows.items()
        for network in networks.split()
    )


_NEVER: Final = _table(
    {
        "no address of one machine": "0.0.0.0/8 ::/128 224.0.0.0/4 ff00::/8 255.255.255.255/32",
        "a cloud's metadata service": "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 "
        "100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::254/128 fd00:ec2::23/128 "
        "fd20:ce::254/128",
    }
)
"""Never a receiver of alerts, whatever is allowed."""
_NOT_PUBLIC: Final = _table(
    {
        "this machine": "127.0.0.0/8 ::1/128",
        "a private network": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
        "a link-local address": "169.254.0.0/16 fe80::/10",
        "a network of providers": "100.64.0.0/10",
        "reserved": "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 "
        "203.0.113.0/24 240.0.0.0/4 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 3fff::/20 "
        "5f00::/16 64:ff9b:1::/48",
    }
)
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_IPV4_BITS: Final = 0xFFFF_FFFF


def objection(text: str, *, allow_private: bool) -> str | None:
    """What speaks against this address, in words that do not name it; None when nothing does.

    Args:
        text: as a resolver gives it; a zone after % is left out.
        allow_private: addresses that are not public may be used, too.
    """
    address = meant(ip_address(text.partition("%")[0]))
    found = _kind(address, _NEVER)
    if found is not None or allow_private:
        return found
    found = _kind(address, _NOT_PUBLIC)
    if found is None and not _is_public(address):
        return "reserved"
    return found


def meant(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that leads there (mapped, compatible, NAT64, 6to4)."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    inside = int(address) & _IPV4_BITS
    if address in _TRANSLATED or (address in _COMPATIBLE and inside > 1):
        return IPv4Address(inside)
    return address


def _kind(address: Address, table: tuple[tuple[_Network, str], ...]) -> str | None:
    return next((kind for network, kind in table if address in network), None)


def _is_public(address: Address) -> bool:
    return address.is_global and (isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST)

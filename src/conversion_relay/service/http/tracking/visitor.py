"""Whose address a request came from: the connection's, or what a trusted proxy says of it.

Gives public addresses only: everything else is somebody's own network, not a visitor.
Source: RFC 7239; developer.mozilla.org, X-Forwarded-For (read 2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from starlette.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address
_FOR: Final = re.compile(r'(?:^|[;\s])for\s*=\s*("[^"]*"|[^;\s]*)', re.IGNORECASE)
_PORT: Final = re.compile(r"\[(?P<six>[^\]]*)\](?::\d+)?|(?P<four>[\d.]+):\d+")
_MAX_HOPS: Final = 32


@dataclass(frozen=True, slots=True)
class Visitors:
    """Finds the visitor's address.

    Attributes:
        trusted: networks of the proxies in front of the service.
    """

    trusted: tuple[IPv4Network | IPv6Network, ...]

    @staticmethod
    def behind(networks: Iterable[str]) -> Visitors:
        """With these networks of proxies."""
        return Visitors(tuple(ip_network(one) for one in networks))

    def address(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """The visitor's public address, or None where there is none to be had.

        Args:
            scope: of the connection, as ASGI describes it.
            headers: of the request; several of one name joined with commas.
        """
        client, server = scope.get("client"), scope.get("server")
        found = self._nearest_stranger(None if client is None else client[0], headers)
        own = None if server is None else _read(server[0])
        if found is None or found == own or not found.is_global or found.is_multicast:
            return None
        return str(found)

    def _nearest_stranger(
        self, peer: str | None, headers: Mapping[bytes, bytes]
    ) -> Address | None:
        """The first address, seen from here, that is no proxy of ours: others may be invented."""
        found = None if peer is None else _read(peer)
        if found is None or not self._trusts(found):
            return found
        for hop in _hops(headers):
            found = _read(hop)
            if found is None or not self._trusts(found):
                return found
        return None

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.trusted)


def _hops(headers: Mapping[bytes, bytes]) -> Iterator[str]:
    """Who the proxies say they were asked by, the nearest first."""
    chain = headers.get(b"x-forwarded-for")
    if chain is not None:
        yield from reversed(_last(chain))
        return
    for hop in reversed(_last(headers.get(b"forwarded", b""))):
        found = _FOR.search(hop)
        yield found[1].strip('"') if found else ""


def _last(chain: bytes) -> list[str]:
    return chain.decode("latin-1").rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]


def _read(text: str) -> Address | None:
    """The address, without a port; one of IPv4 in the clothes of IPv6 is one of IPv4."""
    text = text.strip()
    found = _PORT.fullmatch(text)
    try:
        address = ip_address((found["six"] or found["four"]) if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address

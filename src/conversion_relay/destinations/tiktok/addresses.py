"""Addresses with less in them: page URLs without parameters, ip addresses without their last part.

What is not taken out stays byte for byte: nothing is decoded, sorted or put right. Knows no event.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

EVERYTHING: Final = "*"
_USER: Final = re.compile(
    r"\A([\x00-\x20]*(?:https?:[/\\]*|[a-z][a-z0-9+.\-]*://|//))[^/\\?#]*@", re.IGNORECASE
)
_TAIL: Final = re.compile(r"[?#]")
_PARTS: Final = re.compile(r"([?#&;])([^?#&;]*)")
_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 48
_6TO4_PREFIX: Final = 40
"""In such an address of IPv6 an address of IPv4 begins at bit 16."""


@dataclass(frozen=True, slots=True)
class Stripping:
    """Takes parameters out of URLs.

    Attributes:
        names: of parameters, in lower case.
        beginnings: the same of names that begin so.
        everything: nothing of query and fragment stays.
    """

    names: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()
    everything: bool = False

    @staticmethod
    def of(names: Iterable[str]) -> Stripping:
        """Of these parameters, in any case; "utm_*" means all that begin so, "*" means all."""
        lowered = [name.casefold() for name in names]
        return Stripping(
            frozenset(name for name in lowered if not name.endswith(EVERYTHING)),
            tuple(name[:-1] for name in lowered if name.endswith(EVERYTHING) and len(name) > 1),
            EVERYTHING in lowered,
        )

    def strip(self, url: str) -> str:
        """The URL without the parameters, and without user and password before its host."""
        url = _USER.sub(r"\1", url)
        tail = _TAIL.search(url)
        if tail is None:
            return url
        address = url[: tail.start()]
        return address if self.everything else address + self._kept(url[tail.start() :])

    def _kept(self, tail: str) -> str:
        """What stays of query and fragment; who loses the one before it is led in as that was."""
        kept: list[str] = []
        lead, region = "", ""
        for mark, text in _PARTS.findall(tail):
            leads = mark == "#" or (mark == "?" and "?" not in region)
            region = mark if mark == "#" else region + mark
            if self._goes(text, in_fragment=region.startswith("#")):
                lead = mark if leads else lead
                continue
            kept += (lead if lead and not leads and mark != "?" else mark, text)
            lead = ""
        return "".join(kept)

    def _goes(self, part: str, *, in_fragment: bool) -> bool:
        """A fragment may be no list of parameters: there, only what has a value is one."""
        name, equals, _ = part.partition("=")
        if in_fragment and not equals:
            return False
        read = "".join(one for one in unquote_plus(name) if one.isprintable() and one != " ")
        read = read.casefold()
        known = {read, read.partition("[")[0]} & self.names  # "user[mail]" is part of "user"
        return bool(known) or (bool(self.beginnings) and read.startswith(self.beginnings))


def truncated(ip: str) -> str:
    """An IPv4 address with its last number zero, or the first 48 bits of an IPv6 address."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        prefix = _IPV4_PREFIX
    else:
        prefix = _IPV6_PREFIX if address.sixtofour is None else _6TO4_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)

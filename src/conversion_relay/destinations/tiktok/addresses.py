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
_NAMES: Final = re.compile(r"[?#&;]([^?#&;=]*)=")
_HIDDEN: Final = re.compile(r"[;&]|%(?:25)*(?:23|26|3b|3f)", re.IGNORECASE)
"""Where parameters can begin in a path: bare, or a mark that was encoded, however often."""
_ENCODED_AGAIN: Final = re.compile(r"%(?:25)+")
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
            return self._path(url)
        address = self._path(url[: tail.start()])
        return address if self.everything else address + self._kept(url[tail.start() :])

    def _path(self, address: str) -> str:
        """What stays before query and fragment: parameters in a path go with all behind them."""
        first = _HIDDEN.search(address)
        return address[: first.start()] if first and self._holds(address) else address

    def _kept(self, tail: str) -> str:
        """What stays of query and fragment; who loses the one before it is led in as that was."""
        kept: list[str] = []
        lead, region, gone = "", "", ""
        for mark, text in _PARTS.findall(tail):
            leads = mark == "#" or (mark == "?" and "?" not in region)
            region = mark if mark == "#" else region + mark
            if _goes_on(gone, mark, text) or self._goes(text, in_fragment=region.startswith("#")):
                lead, gone = mark if leads else lead, gone + text
                continue
            kept += (lead if lead and not leads and mark != "?" else mark, text)
            lead = gone = ""
        return "".join(kept)

    def _goes(self, part: str, *, in_fragment: bool) -> bool:
        """A fragment may be no list of parameters: there, only what has a value is one."""
        if self._holds(f"&{part}"):
            return True
        return not in_fragment and "=" not in part and self._is_meant(unquote_plus(part))

    def _holds(self, text: str) -> bool:
        """A parameter that goes stands in it, also inside a value, and however often encoded."""
        if "%" in text:
            text = unquote_plus(_ENCODED_AGAIN.sub("%", text))
        return any(map(self._is_meant, _NAMES.findall(text)))

    def _is_meant(self, name: str) -> bool:
        read = "".join(one for one in name if one.isprintable() and one not in " +").casefold()
        known = {read, read.partition("[")[0]} & self.names  # "user[mail]" is part of "user"
        by_beginning = bool(self.beginnings) and read.startswith(self.beginnings)
        return self.everything or bool(known) or by_beginning


def _goes_on(gone: str, mark: str, text: str) -> bool:
    """Whether it is the rest of a value that went, in which such marks may stand as they are."""
    return "=" in gone and mark in ";?" and "=" not in text


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

"""What is wrong with the settings of sharing, in sentences that go on from the setting's name.

Knows the table of what a request holds; changes no event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from conversion_relay.destinations.tiktok.region import COUNTRIES
from conversion_relay.destinations.tiktok.sharing import LimitedDataUse, Sharing
from conversion_relay.destinations.tiktok.wire import WIRE_FIELDS

_PARAMETER: Final = re.compile(r"[^\s=&?#;%*]+\*?|\*")
_REGION: Final = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")
_ALONE: Final = ("ttclid", "ttp", "email", "phone", "external_id")
_TOGETHER: Final = ("ip", "user_agent")


def sharing_problems(settings: Sharing) -> tuple[tuple[str, str], ...]:
    """Why the settings cannot be used: (name of the setting, what is wrong with it)."""
    return tuple(_problems(settings))


def sharing_warnings(settings: Sharing) -> tuple[tuple[str, str], ...]:
    """What can be used, and is probably not meant: the same form."""
    if not _leaves_nobody(frozenset(settings.leave_out)):
        return ()
    sentence = (
        "leaves nothing by which TikTok could tell whose event it is: of a website it wants at "
        "least one of user.ttclid, user.ttp, user.email, user.phone and user.external_id, or "
        "user.ip with user.user_agent. The events are sent all the same"
    )
    return (("leave_out", sentence),)


def _problems(settings: Sharing) -> Iterator[tuple[str, str]]:
    for name in settings.leave_out:
        reason = _unknown(name) or WIRE_FIELDS[name].why_kept
        if reason is not None:
            yield "leave_out", f'"{name}" cannot be left out: {reason}'
    for name in settings.hash:
        reason = _unknown(name) or WIRE_FIELDS[name].why_plain
        if reason is None and name in settings.leave_out:
            reason = "leave_out names it as well"
        if reason is not None:
            yield "hash", f'"{name}" cannot be hashed: {reason}'
    for name in settings.strip_url_parameters:
        if not _PARAMETER.fullmatch(name):
            sentence = (
                f'"{name}" must be the name of a parameter alone, such as "email", the beginning '
                'of names, such as "utm_*", or "*" for all of them'
            )
            yield "strip_url_parameters", sentence
    yield from _problems_of_regions(settings)


def _problems_of_regions(settings: Sharing) -> Iterator[tuple[str, str]]:
    key = "limited_data_use_regions"
    by_region = settings.limited_data_use is LimitedDataUse.BY_REGION
    if by_region and not settings.limited_data_use_regions:
        yield key, 'must name at least one region, such as "US-CA", for limited_data_use by_region'
    if settings.limited_data_use_regions and not by_region:
        yield key, 'has no effect unless limited_data_use = "by_region"'
    for name in settings.limited_data_use_regions:
        found = _REGION.fullmatch(name.upper())
        if found is None or found[1] not in COUNTRIES:
            sentence = (
                f'"{name}" must be a country such as "DE" (ISO 3166-1), or a part of one such as '
                '"US-CA" (ISO 3166-2)'
            )
            yield key, sentence


def _unknown(name: str) -> str | None:
    if name in WIRE_FIELDS:
        return None
    near = get_close_matches(name, WIRE_FIELDS, n=1, cutoff=0.7) or [
        path for path in WIRE_FIELDS if path.rpartition(".")[2] == name
    ]
    hint = f'; did you mean "{near[0]}"?' if near else ', which has names such as "user.email"'
    return f"there is no such field in a request to TikTok{hint}"


def _leaves_nobody(left_out: frozenset[str]) -> bool:
    gone = frozenset(name.removeprefix("user.") for name in left_out if name.startswith("user."))
    return "user" in left_out or (gone.issuperset(_ALONE) and not gone.isdisjoint(_TOGETHER))

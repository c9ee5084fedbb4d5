"""Where the visitor of an event lives, as far as the event tells.

Three places tell, the surest first: the mapped address, `context.location`, the language. What is
not written as the code of a country tells nothing. Knows no settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import phonenumbers

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject

COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS) | {
    "AQ", "BV", "GS", "HM", "PN", "TF", "UM",
}  # fmt: skip
"""ISO 3166-1: those that have telephones, and the others."""
_ALSO_WRITTEN: Final = {"UK": "GB"}
_SUBDIVISION: Final = re.compile(r"[A-Z0-9]{1,3}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?[-_]([A-Za-z]{2})(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Region:
    """A country, and within it a state where that is known; codes of ISO 3166, upper case."""

    country: str
    state: str | None = None

    def lies_in(self, code: str) -> bool | None:
        """Whether it is, or is part of, "DE" or "US-CA"; None where that cannot be told."""
        country, dash, state = code.partition("-")
        if country != self.country or not dash:
            return country == self.country
        return None if self.state is None else self.state == state


def region_of(user: Json, event: SegmentEvent) -> Region | None:
    """The visitor's region, or None where the event does not tell.

    Args:
        user: the `user` object of the element, complete.
        event: where it came from.
    """
    known = list(_regions(user if isinstance(user, dict) else {}, event))
    if not known:
        return None
    country = known[0].country
    states = (one.state for one in known if one.country == country and one.state is not None)
    return Region(country, next(states, None))


def _regions(user: JsonObject, event: SegmentEvent) -> Iterator[Region]:
    context = event.payload.get("context")
    location = context.get("location") if isinstance(context, dict) else None
    place = location if isinstance(location, dict) else {}
    locale = user.get("locale") or (context.get("locale") if isinstance(context, dict) else None)
    for country, state in (
        (user.get("country"), user.get("state")),
        (place.get("country"), place.get("region")),
        (_of_locale(locale), None),
    ):
        written = _code(country)
        found = _ALSO_WRITTEN.get(written, written)
        if found in COUNTRIES:
            yield Region(found, _subdivision(state, found))


def _of_locale(locale: Json) -> str | None:
    found = _LOCALE.match(locale.strip()) if isinstance(locale, str) else None
    return None if found is None else found[1]


def _subdivision(value: Json, country: str) -> str | None:
    """Only a code tells: "CA" or "US-CA", not the name of a state."""
    code = _code(value).removeprefix(f"{country}-")
    return code if _SUBDIVISION.fullmatch(code) else None


def _code(value: Json) -> str:
    return value.strip().upper() if isinstance(value, str) else ""

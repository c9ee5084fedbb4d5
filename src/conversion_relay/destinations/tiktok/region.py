"""Where the visitor of an event lives, as far as the event tells.

Three places tell, the surest first: the mapped address, `context.location`, the language. The one
that says anything decides; what it does not write as a code is not known. Knows no settings.
"""

from __future__ import annotations

import re
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
        """Whether it is, or is part of, "DE" or "US-CA"; None where that cannot be told.

        A state of another form, such as "06" or "CAL", may be the same one.
        """
        country, dash, state = code.partition("-")
        if country != self.country or not dash:
            return country == self.country
        known = self.state is not None and _form(self.state) == _form(state)
        return self.state == state if known else None


def region_of(payload: JsonObject, event: SegmentEvent) -> Region | None:
    """The visitor's region, or None where the event does not tell.

    Args:
        payload: as it was mapped; of it the address and the language.
        event: where it came from.
    """
    context = event.payload.get("context")
    surroundings = context if isinstance(context, dict) else {}
    address, location = _object(payload.get("address")), _object(surroundings.get("location"))
    places = (
        (address.get("country"), address.get("state")),
        (location.get("country"), location.get("region")),
        (_of_locale(payload.get("locale") or surroundings.get("locale")), None),
    )
    countries = [_country(country) for country, _ in places if not _is_blank(country)]
    if not countries or countries[0] not in COUNTRIES:  # a weaker sign must not speak for it
        return None
    here = countries[0]
    states = (
        _subdivision(state, here)
        for country, state in places
        if _country(country) == here and not _is_blank(state)
    )
    return Region(here, next(states, None))


def _country(value: Json) -> str:
    written = _code(value)
    return _ALSO_WRITTEN.get(written, written)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _is_blank(value: Json) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _form(state: str) -> tuple[int, bool]:
    return len(state), state.isalpha()


def _of_locale(locale: Json) -> str | None:
    found = _LOCALE.match(locale.strip()) if isinstance(locale, str) else None
    return None if found is None else found[1]


def _subdivision(value: Json, country: str) -> str | None:
    """Only a code tells: "CA" or "US-CA", not the name of a state."""
    code = _code(value).removeprefix(f"{country}-")
    return code if _SUBDIVISION.fullmatch(code) else None


def _code(value: Json) -> str:
    return value.strip().upper() if isinstance(value, str) else ""

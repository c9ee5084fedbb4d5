"""What an element of a request may hold, by path: whether it can be left out, or sent as a hash.

A table, made of the inputs of the action, so that both name the same fields. Knows no event.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from conversion_relay.core.destination import Field, FieldType
from conversion_relay.destinations.tiktok.fields import (
    FIELDS,
    TRAVEL,
    TRAVEL_KEYS,
    VEHICLE,
    VEHICLE_KEYS,
)

_NEEDED: Final = "TikTok takes no event without it"
_LEAD_NEEDED: Final = "TikTok takes no event of a CRM without it"
_OBJECT: Final = "it is an object; name its parts instead"
_NUMBER: Final = "TikTok takes a number only"
_WORD: Final = "TikTok takes certain words only"
_DATE: Final = "TikTok takes a date only"
_TRUTH: Final = "TikTok takes true or false only"
_CLEAR: Final = "TikTok can use it in clear only; leave it out instead"
_KNOWN: Final = "TikTok has to recognise it"
_HASHED: Final = "it is sent as a hash already"
_URL: Final = "TikTok takes a URL only; strip_url_parameters takes parameters out of it"
_TYPES: Final[Mapping[FieldType, str]] = {
    FieldType.NUMBER: _NUMBER,
    FieldType.INTEGER: _NUMBER,
    FieldType.BOOLEAN: _TRUTH,
    FieldType.OBJECT: _OBJECT,
}


@dataclass(frozen=True, slots=True)
class WireField:
    """One path in an element.

    Attributes:
        path: dotted, without positions in lists.
        why_kept: why it cannot be left out; None: it can.
        why_plain: why it cannot be sent as a hash; None: it can.
    """

    path: str
    why_kept: str | None = None
    why_plain: str | None = None


_FIXED: Final = (
    WireField("event", _NEEDED, _KNOWN),
    WireField("event_time", _NEEDED, _DATE),
    WireField("event_id", "without it TikTok could not recognise copies", _KNOWN),
    WireField("user", None, _OBJECT),
    *(
        WireField(f"user.{key}", None, _HASHED)
        for key in ("external_id", "phone", "email", "first_name", "last_name", "zip_code")
    ),
    *(
        WireField(f"user.{key}", None, _CLEAR)
        for key in ("city", "state", "country", "ttclid", "ttp", "ip", "user_agent", "locale")
    ),
    WireField("properties", None, _OBJECT),
    WireField("page", None, _OBJECT),
    WireField("page.url", None, _URL),
    WireField("page.referrer", None, _URL),
    WireField("lead", _LEAD_NEEDED, _OBJECT),
    WireField("lead.lead_id", _LEAD_NEEDED, _KNOWN),
    WireField("lead.lead_event_source"),
    WireField("limited_data_use", "it may hold somebody's wish; limited_data_use sets it", _TRUTH),
)
PROPERTIES: Final = (
    "contents",
    "content_type",
    "currency",
    "value",
    "query",
    "description",
    "order_id",
    "shop_id",
    "content_ids",
    "delivery_category",
    "num_items",
    "predicted_ltv",
    "search_string",
)
"""Those of every event; travel and vehicle events have more."""
_FAMILIES: Final = {TRAVEL: TRAVEL_KEYS, VEHICLE: VEHICLE_KEYS}
_PAIRS: Final = (
    WireField("properties.mileage", None, _OBJECT),
    WireField("properties.mileage.unit", None, _WORD),
    WireField("properties.mileage.value", None, _NUMBER),
    WireField("properties.preferred_price_range", None, _NUMBER),
)
_DATES: Final = ("_date", "travel_start", "travel_end")


def _property(field: Field, inside: str = "properties.") -> Iterator[WireField]:
    path = inside + field.key
    why: str | None
    if field.key.endswith(_DATES):
        why = _DATE
    elif field.choices:
        why = _WORD
    else:
        why = _CLEAR if field.key == "currency" else _TYPES.get(field.type)
    yield WireField(path, None, why)
    for part in field.properties:
        yield from _property(part, f"{path}.")


def _all() -> Iterator[WireField]:
    yield from _FIXED
    inputs = {field.key: field for field in FIELDS}
    for key in PROPERTIES:
        yield from _property(inputs[key])
    for family, keys in _FAMILIES.items():
        for field in inputs[family].properties:
            if field.key in keys:
                yield from _property(field)
    yield from _PAIRS


WIRE_FIELDS: Final[Mapping[str, WireField]] = MappingProxyType({one.path: one for one in _all()})
"""By path."""

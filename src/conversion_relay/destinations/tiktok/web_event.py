"""Report Web Event: from a checked payload to one element of a request to TikTok.

Knows the shape of an event on the wire; not how requests are sent or answers read.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from conversion_relay.core.destination import Built, Field, FieldProblem, Worth
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.event_time import unix_seconds
from conversion_relay.destinations.tiktok.fields import (
    CRM,
    CURRENCIES,
    FIELDS,
    TRAVEL,
    TRAVEL_KEYS,
    VEHICLE_KEYS,
    WEB,
)
from conversion_relay.destinations.tiktok.sharing import EVERYTHING_MAPPED, Sharer, Sharing
from conversion_relay.destinations.tiktok.user import UserBuilder, carried
from conversion_relay.destinations.tiktok.wire import PROPERTIES

_LARGEST_VALUE: Final = 1e12
"""What is worth more is a slip, and would spoil every sum."""
_PAGE: Final = ("url", "referrer")
_LEAD: Final = ("lead_id", "lead_event_source")


@dataclass(frozen=True, slots=True)
class TikTokSettings:
    """What is set for one TikTok destination; the access token is not among it.

    Attributes:
        pixel_code: the Pixel Code, or the id of the CRM event set.
        test_event_code: for every event whose mapping gives none.
        default_phone_region: ISO 3166 code for phone numbers without a country code.
        lower_case_external_id: as Segment does; TikTok's own browser tag does not.
        partner_name: sent only if set.
        sharing: what of an event is sent.
    """

    pixel_code: str
    test_event_code: str | None = None
    default_phone_region: str | None = None
    lower_case_external_id: bool = True
    partner_name: str | None = None
    sharing: Sharing = EVERYTHING_MAPPED


@dataclass(frozen=True, slots=True)
class ReportWebEvent:
    """TikTok's one action: reports a conversion on a website or in a CRM."""

    settings: TikTokSettings
    _user: UserBuilder = field(init=False, repr=False)
    _sharer: Sharer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        external_id = str.lower if self.settings.lower_case_external_id else str
        user = UserBuilder.of(self.settings.default_phone_region, external_id)
        object.__setattr__(self, "_user", user)
        object.__setattr__(self, "_sharer", Sharer(self.settings.sharing))

    @property
    def slug(self) -> str:
        """Its name in presets."""
        return "reportWebEvent"

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its inputs, in order."""
        return FIELDS

    def build(
        self, payload: JsonObject, event: SegmentEvent, now: datetime
    ) -> Built | FieldProblem:
        """The event as TikTok wants it and the owner shares it; warnings say what was unusable."""
        name, event_id = payload.get("event"), payload.get("event_id")
        if not isinstance(name, str):
            return FieldProblem("event", "is required, it is missing")
        warnings: list[FieldProblem] = []
        element: JsonObject = {"event": name, "event_time": _time(payload, event, now, warnings)}
        if isinstance(event_id, str):
            element["event_id"] = event_id
        element["user"] = self._user.build(payload, warnings)
        element["properties"] = _properties(payload, warnings)
        _add_page_and_lead(element, payload, warnings)
        element["limited_data_use"] = payload.get("limited_data_use", False)
        worth = _worth(element["properties"])
        element, shared = self._sharer.share(element, payload, event)
        return Built(
            self._envelope(payload),
            name,
            event_id if isinstance(event_id, str) else None,
            orjson.dumps(element),
            tuple(warnings),
            shared,
            keys=carried(element.get("user")),
            worth=worth,
        )

    def match_key(self, kind: str, text: str) -> str | None:
        """The form in which an e-mail, phone or external id would be sent."""
        return self._user.match_key(kind, text)

    def _envelope(self, payload: JsonObject) -> str:
        """The top level of a request without its `data`."""
        envelope: JsonObject = {
            "event_source": payload.get("event_source", WEB),
            "event_source_id": self.settings.pixel_code,
        }
        test_event_code = payload.get("test_event_code") or self.settings.test_event_code
        if test_event_code:
            envelope["test_event_code"] = test_event_code
        if self.settings.partner_name:
            envelope["partner_name"] = self.settings.partner_name
        return orjson.dumps(envelope).decode()


def _time(
    payload: JsonObject, event: SegmentEvent, now: datetime, warnings: list[FieldProblem]
) -> int:
    """When it happened; else when Segment received it, when it was sent, or now."""
    given = payload.get("timestamp")
    if isinstance(given, str) and given:
        seconds = unix_seconds(given, now)
        if seconds is not None:
            return seconds
        reason = "is no readable time between 2000 and a year from now; the arrival is taken"
        warnings.append(FieldProblem("timestamp", reason))
    for key in ("receivedAt", "sentAt"):
        seconds = unix_seconds(event.text(key) or "", now)
        if seconds is not None:
            return seconds
    return int(now.timestamp())


def _properties(payload: JsonObject, warnings: list[FieldProblem]) -> JsonObject:
    properties: JsonObject = {key: payload[key] for key in PROPERTIES if key in payload}
    currency = properties.get("currency")
    if isinstance(currency, str):
        code = currency.strip().upper()
        if code in CURRENCIES:
            properties["currency"] = code
        else:
            del properties["currency"]
            reason = "is not one of TikTok's currencies; it is left out"
            warnings.append(FieldProblem("currency", reason))
    family = payload.get("event_spec_type")
    if family and payload.get("event_source", WEB) == WEB:
        fields = payload.get(str(family))
        if isinstance(fields, dict):
            properties |= _travel(fields) if family == TRAVEL else _vehicle(fields)
    return properties


def _worth(properties: Json) -> Worth | None:
    """Of both value and currency, whether or not they are shared."""
    if not isinstance(properties, dict):
        return None
    value, currency = properties.get("value"), properties.get("currency")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not isinstance(currency, str) or not abs(value) <= _LARGEST_VALUE:
        return None
    return Worth(round(value * 1_000_000), currency)


def _travel(fields: JsonObject) -> JsonObject:
    return {key: fields[key] for key in TRAVEL_KEYS if key in fields}


def _vehicle(fields: JsonObject) -> JsonObject:
    """The properties of a vehicle; mileage and price range only where both halves are known."""
    vehicle = {key: fields[key] for key in VEHICLE_KEYS if key in fields}
    if "mileage_unit" in fields and "mileage_value" in fields:
        vehicle["mileage"] = {"unit": fields["mileage_unit"], "value": fields["mileage_value"]}
    bounds = [fields.get(f"preferred_price_range_{bound}") for bound in ("min", "max")]
    if None not in bounds:
        vehicle["preferred_price_range"] = bounds
    return vehicle


def _add_page_and_lead(
    element: JsonObject, payload: JsonObject, warnings: list[FieldProblem]
) -> None:
    page: JsonObject = {key: payload[key] for key in _PAGE if key in payload}
    if page:
        element["page"] = page
    if payload.get("event_source") != CRM:
        return
    fields = payload.get("lead_fields")
    if isinstance(fields, dict) and "lead_id" in fields:
        element["lead"] = {key: fields[key] for key in _LEAD if key in fields}
    else:
        reason = "TikTok requires it of a CRM; the event is sent without it"
        warnings.append(FieldProblem("lead_fields.lead_id", reason))

"""Every field the sandbox knows and what it must look like: tables, no logic.

TikTok itself takes unknown and misspelt keys with code 0; here they are refused, so that an
acceptance means that the field was understood.

Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from conversion_relay.sandbox.answers import Code
from conversion_relay.sandbox.checks import (
    Check,
    at_most,
    boolean,
    coded,
    country,
    event_name,
    integer,
    ip_address,
    list_of,
    number,
    object_of,
    one_of,
    one_or_list_of,
    pair_of,
    place_name,
    possibly_empty_list_of,
    raw_text,
    sha256_hex,
    text,
    unix_seconds,
    with_something_in,
)

Fields: TypeAlias = Mapping[str, Check]

MAX_EVENTS: Final = 1_000

USER: Final[Fields] = {
    "email": one_or_list_of(sha256_hex),
    "phone": one_or_list_of(sha256_hex),
    "external_id": one_or_list_of(sha256_hex),
    "first_name": sha256_hex,
    "last_name": sha256_hex,
    "zip_code": sha256_hex,
    "city": place_name,
    "state": place_name,
    "country": country,
    "ttclid": at_most(1_000, raw_text),
    "ttp": raw_text,
    "ip": ip_address,
    "user_agent": raw_text,
    "locale": raw_text,
}

CONTENT: Final[Fields] = {
    "price": number,
    "quantity": number,
    "content_id": text,
    "content_name": text,
    "content_category": text,
    "brand": text,
}

CURRENCIES: Final = (
    "AED ARS AUD BDT BHD BIF BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DZD EGP EUR GBP GTQ HKD HNL "
    "HUF IDR ILS INR ISK JPY KES KHR KRW KWD KZT MAD MOP MXN MYR NGN NIO NOK NZD OMR PEN PHP PKR "
    "PLN PYG QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VES VND ZAR"
)

SHOPPING: Final[Fields] = {
    "value": number,
    "currency": one_of(*CURRENCIES.split()),
    "content_type": one_of("product", "product_group"),
    "content_ids": list_of(text),
    # Empty is right: Segment's own destination sends `[]` whenever an event has no contents.
    "contents": possibly_empty_list_of(with_something_in(object_of(CONTENT))),
    "num_items": number,
    "description": text,
    "order_id": text,
    "shop_id": text,
    "search_string": text,
    "query": text,
    "delivery_category": one_of("in_store", "curbside", "home_delivery"),
    "predicted_ltv": number,
    "customer_type": text,
}

TRAVEL: Final[Fields] = {
    "city": text,
    "region": text,
    "country": text,
    "checkin_date": text,
    "checkout_date": text,
    "num_adults": number,
    "num_children": number,
    "num_infants": number,
    "suggested_hotels": list_of(text),
    "departing_departure_date": text,
    "returning_departure_date": text,
    "origin_airport": text,
    "destination_airport": text,
    "destination_ids": list_of(text),
    "departing_arrival_date": text,
    "returning_arrival_date": text,
    "travel_class": one_of("eco", "prem", "bus", "first"),
    "user_score": number,
    "preferred_num_stops": integer,
    "travel_start": text,
    "travel_end": text,
    "suggested_destinations": list_of(text),
}

BODY_STYLES: Final = (
    "Convertible Coupe Hatchback Minivan Truck SUV Sedan Van Wagon Crossover Other"
)

VEHICLE: Final[Fields] = {
    "postal_code": text,
    "make": text,
    "model": text,
    "year": number,
    "state_of_vehicle": one_of("New", "Used", "CPO"),
    "mileage": object_of(
        {"value": number, "unit": one_of("MI", "KM")}, required=("value", "unit")
    ),
    "exterior_color": text,
    "transmission": one_of("Automatic", "Manual", "Other"),
    "body_style": one_of(*BODY_STYLES.split()),
    "fuel_type": one_of("Diesel", "Electric", "Flex", "Gasoline", "Hybrid", "Other"),
    "drivetrain": one_of("AWD", "FOUR_WD", "FWD", "RWD", "TWO_WD", "Other"),
    "preferred_price_range": pair_of(number),
    "trim": text,
    "vin": text,
    "interior_color": text,
    "condition_of_vehicle": one_of("Excellent", "Good", "Fair", "Poor", "Other"),
    "viewcontent_type": text,
    "search_type": text,
    "registration_type": text,
}

LEAD: Final[Fields] = {"lead_id": text, "lead_event_source": text}

EVENT: Final[Fields] = {
    "event": event_name,
    "event_time": unix_seconds,
    "event_id": text,
    "user": object_of(USER),
    "properties": object_of({**SHOPPING, **TRAVEL, **VEHICLE}),
    "page": with_something_in(object_of({"url": text, "referrer": text})),
    "limited_data_use": boolean,
}

_EVERY_EVENT: Final = ("event", "event_time")
_EVENT: Final = object_of(EVENT, required=_EVERY_EVENT)
_EVENT_ABOUT_A_LEAD: Final = object_of(
    {**EVENT, "lead": object_of(LEAD, required=("lead_id",))},
    required=(*_EVERY_EVENT, "lead"),
)

EVENT_BY_SOURCE: Final[Mapping[str, Check]] = {
    "web": _EVENT,
    "app": _EVENT,
    "offline": _EVENT,
    "crm": _EVENT_ABOUT_A_LEAD,
}

# `data` is judged after the rest, because what an event needs depends on its source.
ENVELOPE: Final[Check] = object_of(
    {
        "event_source": one_of(*EVENT_BY_SOURCE),
        "event_source_id": text,
        "test_event_code": text,
        "partner_name": coded(Code.INVALID_PARTNER_NAME, text),
        "data": lambda _value: None,
    },
    required=("event_source", "event_source_id", "data"),
)

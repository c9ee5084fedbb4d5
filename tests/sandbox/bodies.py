"""Request bodies written by hand, one for each family of fields, and ways to spoil them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from conversion_relay.sandbox.answers import Json, Place

NOW: Final = 1_760_000_000.0
HASH: Final = "848a771458438fc2ec420560d769fb9b9b86851ee338ec56517baabd79d3bb4f"
OTHER_HASH: Final = "9f7ec22d72092cd3c0b58726ed9c2d91b92e51a3f29837508fb2948bb22dd2fd"
HASH_OF_NOTHING: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HASH_OF_A_PLUS: Final = "a318c24216defe206feeb73ef5be00033fa9c4a74d0b967f6532a26ca5906d3b"

USER: Final[dict[str, Json]] = {
    "email": [HASH, OTHER_HASH],
    "phone": OTHER_HASH,
    "external_id": [HASH],
    "first_name": HASH,
    "last_name": HASH,
    "zip_code": HASH,
    "city": "münchen",
    "state": "मुंबई",
    "country": "de",
    "ttclid": "E.C.P.CvABabc_-123",
    "ttp": "94e2a4j9-h3ss-k3b5-98nh-3ad5d3",
    "ip": "2001:db8::1",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "locale": "de-DE",
}
SHOPPING: Final[dict[str, Json]] = {
    "value": 42.5,
    "currency": "EUR",
    "content_type": "product",
    "content_ids": ["1077218", "1197218"],
    "contents": [
        {
            "price": 21.25,
            "quantity": 2,
            "content_id": "1077218",
            "content_name": "Socks",
            "content_category": "Clothing > Socks",
            "brand": "Knitters",
        },
        {"content_id": "1197218"},
    ],
    "num_items": 2,
    "description": "Two pairs",
    "order_id": "o-1",
    "shop_id": "s-1",
    "search_string": "wool socks",
    "query": "wool socks",
    "delivery_category": "home_delivery",
    "predicted_ltv": 0,
    "customer_type": "new",
}
TRAVEL: Final[dict[str, Json]] = {
    "city": "New York",
    "region": "NY",
    "country": "United States",
    "checkin_date": "2025-12-01",
    "checkout_date": "2025-12-04",
    "num_adults": 2,
    "num_children": 0,
    "num_infants": 1,
    "suggested_hotels": ["h1", "h2"],
    "departing_departure_date": "2025-12-01",
    "returning_departure_date": "2025-12-04",
    "origin_airport": "MUC",
    "destination_airport": "JFK",
    "destination_ids": ["d1"],
    "departing_arrival_date": "2025-12-01",
    "returning_arrival_date": "2025-12-05",
    "travel_class": "eco",
    "user_score": 0.75,
    "preferred_num_stops": 1,
    "travel_start": "2025-12-01",
    "travel_end": "2025-12-05",
    "suggested_destinations": ["Boston"],
}
VEHICLE: Final[dict[str, Json]] = {
    "postal_code": "80331",
    "make": "Volvo",
    "model": "240",
    "year": 1988,
    "state_of_vehicle": "Used",
    "mileage": {"value": 210000.5, "unit": "KM"},
    "exterior_color": "red",
    "transmission": "Manual",
    "body_style": "Wagon",
    "fuel_type": "Gasoline",
    "drivetrain": "FOUR_WD",
    "preferred_price_range": [1000, 4000.5],
    "trim": "GL",
    "vin": "YV1AX8840J1234567",
    "interior_color": "black",
    "condition_of_vehicle": "Good",
    "viewcontent_type": "detail",
    "search_type": "model",
    "registration_type": "private",
}


def event(event_id: str = "e-1", **more: Json) -> dict[str, Json]:
    """The least that an event needs, an id, and whatever else is given."""
    return {"event": "Purchase", "event_time": 1_759_999_000, "event_id": event_id, **more}


def body(*events: Json, **more: Json) -> dict[str, Json]:
    """A web request with these events."""
    return {"event_source": "web", "event_source_id": "PIXEL", "data": list(events), **more}


def full(properties: dict[str, Json]) -> dict[str, Json]:
    """A request whose second event has every field of a web event."""
    complete = event(
        "e-2",
        user=copy.deepcopy(cast("Json", USER)),
        properties=copy.deepcopy(cast("Json", properties)),
        page={"url": "https://shop.example/done?a=b", "referrer": "https://shop.example/"},
        limited_data_use=False,
    )
    return body(event("e-1"), complete, test_event_code="TEST1", partner_name="Relay")


def lead() -> dict[str, Json]:
    """A request about a lead of a CRM."""
    about: Json = {"lead_id": "l-1", "lead_event_source": "crm-of-ours"}
    first, second = event("e-1", lead={"lead_id": "l-0"}), event("e-2", lead=about)
    return {**body(first, second), "event_source": "crm"}


def spoilt(whole: dict[str, Json], place: Place, value: Json) -> dict[str, Json]:
    """A copy with this value at this place; a list may be longer afterwards by one."""
    changed = copy.deepcopy(whole)
    *way, last = place
    inner = _follow(changed, tuple(way))
    if isinstance(inner, dict):
        inner[str(last)] = value
    elif isinstance(inner, list):
        inner[int(last) : int(last) + 1] = [value]
    return changed


def without(whole: dict[str, Json], place: Place) -> dict[str, Json]:
    """A copy that lacks the key at this place."""
    changed = copy.deepcopy(whole)
    *way, last = place
    inner = _follow(changed, tuple(way))
    if isinstance(inner, dict):
        del inner[str(last)]
    return changed


def _follow(whole: Json, way: Place) -> Json:
    current = whole
    for step in way:
        if isinstance(current, dict):
            current = current[str(step)]
        elif isinstance(current, list):
            current = current[int(step)]
    return current

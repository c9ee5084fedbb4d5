"""Which bodies are accepted whole, and how each single mistake is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conversion_relay.sandbox.schema import SHOPPING as SHOPPING_FIELDS
from conversion_relay.sandbox.schema import TRAVEL as TRAVEL_FIELDS
from conversion_relay.sandbox.schema import USER as USER_FIELDS
from conversion_relay.sandbox.schema import VEHICLE as VEHICLE_FIELDS
from sandbox.bodies import (
    HASH,
    HASH_OF_A_PLUS,
    HASH_OF_NOTHING,
    NOW,
    SHOPPING,
    TRAVEL,
    USER,
    VEHICLE,
    body,
    event,
    full,
    lead,
    spoilt,
    without,
)

if TYPE_CHECKING:
    from conversion_relay.sandbox.answers import Json, Place
    from sandbox.conftest import Stage

EVENT = ("data", 1)
PERSON = (*EVENT, "user")
PROPERTIES = (*EVENT, "properties")
CONTENT = (*PROPERTIES, "contents", 1)

GOOD_BODIES: dict[str, dict[str, Json]] = {
    "shopping": full(SHOPPING),
    "travel": full(TRAVEL),
    "vehicle": full(VEHICLE),
    "crm": lead(),
    "offline": {**body(event()), "event_source": "offline"},
    "app": {**body(event()), "event_source": "app"},
    "the least": body({"event": "a", "event_time": 1_700_000_000}),
    "an event's name of 50 characters": body({**event(), "event": "x" * 50}),
    "nothing about the person": body(event(user={}, properties={})),
    "a thousand events": body(*(event(str(number)) for number in range(1000))),
    "no contents": body(event(properties={"contents": []})),
    "a ttclid of 1,000 characters": body(event(user={"ttclid": "x" * 1000})),
    "IPv4": body(event(user={"ip": "203.0.113.9"})),
}

# Place in the request, the value put there, code and problem; the place is what is named.
SPOILT_VALUES: list[tuple[Place, Json, int, str]] = [
    (("event_source",), "webb", 40002, "not a valid choice."),
    (("event_source",), None, 40002, "not a valid string."),
    (("event_source_id",), "", 40002, "must not be empty."),
    (("event_source_id",), 7, 40002, "not a valid string."),
    (("test_event_code",), "", 40002, "must not be empty."),
    (("partner_name",), "", 40063, "must not be empty."),
    (("pixel_code",), "PIXEL", 40002, "unknown field."),
    (("data",), {}, 40002, "not a valid list."),
    (EVENT, "event", 40002, "not a valid object."),
    ((*EVENT, "test_event_code"), "TEST", 40002, "unknown field."),
    ((*EVENT, "lead"), {"lead_id": "l"}, 40002, "unknown field."),
    ((*EVENT, "event"), "1st", 40002, "must begin with a letter and have at most 50 characters."),
    ((*EVENT, "event"), "", 40002, "must begin with a letter and have at most 50 characters."),
    (
        (*EVENT, "event"),
        "x" * 51,
        40002,
        "must begin with a letter and have at most 50 characters.",
    ),
    ((*EVENT, "event"), 5, 40002, "not a valid string."),
    ((*EVENT, "event_id"), 12345, 40002, "not a valid string."),
    ((*EVENT, "event_id"), "", 40002, "must not be empty."),
    ((*EVENT, "event_id"), None, 40002, "not a valid string."),
    ((*EVENT, "event_time"), int(NOW) * 1000, 40002, "not a Unix time in seconds."),
    ((*EVENT, "event_time"), 0, 40002, "not a Unix time in seconds."),
    ((*EVENT, "event_time"), NOW, 40002, "not a valid integer."),
    ((*EVENT, "event_time"), str(int(NOW)), 40002, "not a valid integer."),
    ((*EVENT, "event_time"), True, 40002, "not a valid integer."),
    ((*EVENT, "event_time"), None, 40002, "not a valid integer."),
    ((*EVENT, "limited_data_use"), "false", 40002, "not a valid boolean."),
    ((*EVENT, "limited_data_use"), 0, 40002, "not a valid boolean."),
    ((*EVENT, "page"), {}, 40002, "must not be empty."),
    ((*EVENT, "page", "url"), "", 40002, "must not be empty."),
    ((*EVENT, "page", "title"), "Shop", 40002, "unknown field."),
    ((*EVENT, "user"), [], 40002, "not a valid object."),
    ((*PERSON, "mail"), HASH, 40002, "unknown field."),
    ((*PERSON, "email"), [], 40002, "must not be empty."),
    ((*PERSON, "email"), "", 40002, "must not be empty."),
    ((*PERSON, "email", 1), "", 40002, "must not be empty."),
    ((*PERSON, "email", 1), 7, 40002, "not a valid string."),
    ((*PERSON, "email", 1), HASH.upper(), 40002, "a hash must be written in lower case."),
    ((*PERSON, "email", 1), HASH_OF_NOTHING, 40002, "the hash of an empty value."),
    ((*PERSON, "phone"), HASH_OF_A_PLUS, 40002, "the hash of an empty value."),
    ((*PERSON, "first_name"), HASH_OF_NOTHING, 40002, "the hash of an empty value."),
    ((*PERSON, "first_name"), [HASH], 40002, "not a valid string."),
    ((*PERSON, "email", 1), "alice@example.com", 40062, "personal data must be hashed"),
    ((*PERSON, "email"), HASH[:-1], 40062, "personal data must be hashed"),
    ((*PERSON, "phone"), "+12133734253", 40062, "personal data must be hashed"),
    ((*PERSON, "external_id"), "user_123", 40062, "personal data must be hashed"),
    ((*PERSON, "last_name"), "liddell", 40062, "personal data must be hashed"),
    ((*PERSON, "zip_code"), "80331", 40062, "personal data must be hashed"),
    ((*PERSON, "city"), "alice@example.com", 40062, "personal data must be hashed"),
    ((*PERSON, "ttclid"), "x alice@example.com", 40062, "personal data must be hashed"),
    ((*PERSON, "ttclid"), "x" * 1001, 40002, "longer than 1000 characters."),
    ((*PERSON, "ttclid"), "", 40002, "must not be empty."),
    ((*PERSON, "city"), "München", 40002, "must be lower-case without spaces or punctuation."),
    ((*PERSON, "city"), "new york", 40002, "must be lower-case without spaces or punctuation."),
    ((*PERSON, "state"), "n-y", 40002, "must be lower-case without spaces or punctuation."),
    ((*PERSON, "state"), "", 40002, "must not be empty."),
    ((*PERSON, "country"), "DE", 40002, "must be two lower-case letters."),
    ((*PERSON, "country"), "germany", 40002, "must be two lower-case letters."),
    ((*PERSON, "ip"), "203.0.113", 40002, "not a valid IP address."),
    ((*PERSON, "ip"), "203.0.113.9:80", 40002, "not a valid IP address."),
    ((*PERSON, "ip"), 7, 40002, "not a valid string."),
    ((*PERSON, "user_agent"), ["Mozilla"], 40002, "not a valid string."),
    ((*PERSON, "locale"), " ", 40002, "must not be empty."),
    ((*PERSON, "ttp"), 7, 40002, "not a valid string."),
    ((*PROPERTIES, "revenue"), 7, 40002, "unknown field."),
    ((*PROPERTIES, "value"), "42.5", 40002, "not a valid number."),
    ((*PROPERTIES, "value"), True, 40002, "not a valid number."),
    ((*PROPERTIES, "value"), None, 40002, "not a valid number."),
    ((*PROPERTIES, "currency"), "eur", 40002, "not a valid choice."),
    ((*PROPERTIES, "currency"), "XYZ", 40002, "not a valid choice."),
    ((*PROPERTIES, "content_type"), "Product", 40002, "not a valid choice."),
    ((*PROPERTIES, "delivery_category"), "post", 40002, "not a valid choice."),
    ((*PROPERTIES, "content_ids"), "1077218", 40002, "not a valid list."),
    ((*PROPERTIES, "content_ids"), [], 40002, "must not be empty."),
    ((*PROPERTIES, "content_ids", 1), 1077218, 40002, "not a valid string."),
    ((*PROPERTIES, "contents"), {}, 40002, "not a valid list."),
    (CONTENT, {}, 40002, "must not be empty."),
    ((*CONTENT, "content_id"), 7, 40002, "not a valid string."),
    ((*CONTENT, "price"), "7", 40002, "not a valid number."),
    ((*CONTENT, "quantity"), "1", 40002, "not a valid number."),
    ((*CONTENT, "sku"), "7", 40002, "unknown field."),
    ((*PROPERTIES, "num_items"), "2", 40002, "not a valid number."),
    ((*PROPERTIES, "query"), "", 40002, "must not be empty."),
    ((*PROPERTIES, "order_id"), 5, 40002, "not a valid string."),
    ((*PROPERTIES, "travel_class"), "economy", 40002, "not a valid choice."),
    ((*PROPERTIES, "preferred_num_stops"), 1.5, 40002, "not a valid integer."),
    ((*PROPERTIES, "num_adults"), "2", 40002, "not a valid number."),
    ((*PROPERTIES, "suggested_hotels"), "h1", 40002, "not a valid list."),
    ((*PROPERTIES, "state_of_vehicle"), "new", 40002, "not a valid choice."),
    ((*PROPERTIES, "transmission"), "manual", 40002, "not a valid choice."),
    ((*PROPERTIES, "body_style"), "Tank", 40002, "not a valid choice."),
    ((*PROPERTIES, "fuel_type"), "Coal", 40002, "not a valid choice."),
    ((*PROPERTIES, "drivetrain"), "4WD", 40002, "not a valid choice."),
    ((*PROPERTIES, "condition_of_vehicle"), "Bad", 40002, "not a valid choice."),
    ((*PROPERTIES, "year"), "1988", 40002, "not a valid number."),
    ((*PROPERTIES, "mileage"), 5, 40002, "not a valid object."),
    ((*PROPERTIES, "preferred_price_range"), [1], 40002, "not a list of two."),
]

INNER_PROBLEMS: list[tuple[Place, Json, str, str]] = [
    (
        (*PROPERTIES, "mileage"),
        {"value": 1, "unit": "miles"},
        "mileage.unit",
        "not a valid choice.",
    ),
    ((*PROPERTIES, "mileage"), {"value": 1}, "mileage.unit", "missing required field."),
    (
        (*PROPERTIES, "preferred_price_range"),
        [1, "2"],
        "preferred_price_range.1",
        "not a valid number.",
    ),
]


@pytest.mark.parametrize("good", GOOD_BODIES.values(), ids=GOOD_BODIES)
async def test_a_good_body_is_accepted_and_counted(stage: Stage, good: dict[str, Json]) -> None:
    assert await stage.code_and_message(good) == (0, "OK")
    data = good["data"]
    assert isinstance(data, list)
    assert len(stage.sandbox.ledger.conversions()) == len(data)


def test_the_full_bodies_leave_no_field_out() -> None:
    written = (USER.keys(), SHOPPING.keys(), TRAVEL.keys(), VEHICLE.keys())
    tables = (USER_FIELDS, SHOPPING_FIELDS, TRAVEL_FIELDS, VEHICLE_FIELDS)
    assert [set(keys) for keys in written] == [set(table) for table in tables]


@pytest.mark.parametrize(
    ("place", "value", "code", "problem"),
    SPOILT_VALUES,
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else None,
)
async def test_one_wrong_value_refuses_the_batch(
    stage: Stage, place: Place, value: Json, code: int, problem: str
) -> None:
    answer = await stage.code_and_message(spoilt(full(SHOPPING), place, value))
    named = ".".join(str(step) for step in place)
    assert answer[0] == code
    assert answer[1].startswith(f"Invalid value for {named}: {problem}")
    assert not stage.sandbox.ledger.conversions()


@pytest.mark.parametrize(("place", "value", "named", "problem"), INNER_PROBLEMS)
async def test_a_wrong_part_of_a_value_is_named_itself(
    stage: Stage, place: Place, value: Json, named: str, problem: str
) -> None:
    answer = await stage.code_and_message(spoilt(full(VEHICLE), place, value))
    assert answer == (40002, f"Invalid value for data.1.properties.{named}: {problem}")


@pytest.mark.parametrize(
    ("whole", "place"),
    [
        (full(SHOPPING), ("event_source",)),
        (full(SHOPPING), ("event_source_id",)),
        (full(SHOPPING), ("data",)),
        (full(SHOPPING), (*EVENT, "event")),
        (full(SHOPPING), (*EVENT, "event_time")),
        (lead(), (*EVENT, "lead")),
        (lead(), (*EVENT, "lead", "lead_id")),
    ],
)
async def test_a_missing_field_is_named(
    stage: Stage, whole: dict[str, Json], place: Place
) -> None:
    named = ".".join(str(step) for step in place)
    assert await stage.code_and_message(without(whole, place)) == (
        40002,
        f"Invalid value for {named}: missing required field.",
    )


async def test_the_first_bad_event_is_the_one_named(stage: Stage) -> None:
    batch = body(event("a"), event("b", event_time=True), event("c", event_time=True))
    _code, message = await stage.code_and_message(batch)
    assert message == "Invalid value for data.1.event_time: not a valid integer."


@pytest.mark.parametrize("size", [0, 1001])
async def test_the_size_of_a_batch_is_bounded(stage: Stage, size: int) -> None:
    code, message = await stage.code_and_message(body(*(event(str(one)) for one in range(size))))
    assert (code, message) == (40061, "data must have 1 to 1000 events.")
    assert not stage.sandbox.ledger.conversions()

"""Laws of the TikTok destination, for any payload and any answer."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay.core.coercion import Checker
from conversion_relay.core.delivery import WireResponse
from conversion_relay.core.destination import Built, Field, FieldType
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok import normalise
from conversion_relay.destinations.tiktok.event_time import unix_seconds
from conversion_relay.destinations.tiktok.fields import FIELDS
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings

law = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 1, 10, tzinfo=UTC)
REGIONS = st.sampled_from([None, "US", "DE", "ZZ"])

any_text = st.text(max_size=12) | st.sampled_from(
    [
        "0x10",
        "1e400",
        "Infinity",
        "true",
        "web",
        "crm",
        "travel_fields",
        "vehicle_fields",
        "\ud83d",
    ]
)
numbers = (
    st.integers(-(2**80), 2**80) | st.floats(width=64) | st.sampled_from([10**400, -0.0, 1e308])
)
scalars: st.SearchStrategy[Json] = st.none() | st.booleans() | numbers | any_text
any_value: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)

FITTING: dict[FieldType, st.SearchStrategy[Json]] = {
    FieldType.STRING: any_text,
    FieldType.NUMBER: numbers,
    FieldType.INTEGER: st.integers(0, 9),
    FieldType.BOOLEAN: st.booleans(),
}


def fitting(field: Field) -> st.SearchStrategy[Json]:
    """Values that look right for a field, and now and then any other."""
    if field.properties:
        one: st.SearchStrategy[Json] = payloads(field.properties)
    elif field.choices:
        one = st.sampled_from(field.choices)
    else:
        one = FITTING.get(field.type, any_value)
    return (st.lists(one, max_size=3) | one if field.multiple else one) | any_value


def payloads(fields: tuple[Field, ...]) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries({}, optional={field.key: fitting(field) for field in fields})


any_payload = payloads(FIELDS).map(lambda payload: {"event": "Probe", **payload})
events = st.fixed_dictionaries({}, optional={"receivedAt": any_value, "sentAt": any_value})


def finite(value: Json) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def empties(value: Json) -> bool:
    """Whether something empty lies anywhere inside."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return not value or any(map(empties, items))
    return value == ""


@law
@given(payload=any_payload, event=events, region=REGIONS)
def test_whatever_is_checked_becomes_valid_json(
    payload: JsonObject, event: JsonObject, region: str | None
) -> None:
    destination = TikTokDestination(TikTokSettings("PIXEL", default_phone_region=region))
    action = destination.actions["reportWebEvent"]
    before = copy.deepcopy(payload)
    checked = Checker(action.fields).check(payload)
    assert repr(payload) == repr(before)
    if checked.rejections:
        return
    checked_before = copy.deepcopy(checked.payload)
    built = action.build(checked.payload, SegmentEvent(event, "track", None), NOW)
    assert checked.payload == checked_before
    assert isinstance(built, Built)
    element = orjson.loads(built.body)
    assert finite(element)
    request = orjson.loads(destination.request(built.envelope, [built.body] * 2, "t").content)
    assert request["data"] == [element, element]
    user, properties = element.pop("user"), element.pop("properties")
    assert not empties([element, user or 1, properties or 1])
    assert type(element["event_time"]) is int


@law
@given(payload=any_payload)
def test_checking_twice_is_checking_once(payload: JsonObject) -> None:
    checker = Checker(FIELDS)
    once = checker.check(payload)
    again = checker.check(once.payload)
    assert again.payload == once.payload
    assert again.warnings == ()


@law
@given(text=st.text(), region=REGIONS)
def test_normalising_twice_is_normalising_once(text: str, region: str | None) -> None:
    phone = normalise.phone(region)
    canonical = (normalise.letters, normalise.postal_code, normalise.country, phone, str.strip)
    for form in (*canonical, normalise.ip_address, *map(normalise.hashed, canonical)):
        once = form(text)
        if once is not None:
            assert form(once) == once


def matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


people = st.fixed_dictionaries(
    {
        "local": matching(r"Xq[a-zA-Z0-9.]{6,14}"),
        "number": matching(r"[1-9][0-9]{9,13}"),
        "first_name": matching(r"Xq[A-Za-zäöüß' -]{6,14}z"),
        "last_name": matching(r"Xq[A-Za-zäöüß' -]{6,14}z"),
        "postal_code": matching(r"Xq[A-Z0-9 ]{6,9}Z"),
        "identity": matching(r"Xq[A-Za-z0-9_-]{8,14}"),
    }
)


@law
@given(person=people, shape=st.sampled_from(["{}", " {} ", "+{}", "({})"]), region=REGIONS)
def test_no_personal_data_is_readable_in_what_is_built(
    person: dict[str, str], shape: str, region: str | None
) -> None:
    email, number = f"{person['local']}@example.com", person["number"]
    payload: JsonObject = {
        "event": "Probe",
        "email": [shape.format(email), email],
        "phone_number": [shape.format(number), f"{number}{number}"],
        "first_name": person["first_name"],
        "last_name": person["last_name"],
        "address": {"zip_code": person["postal_code"], "country": person["first_name"]},
        "external_id": person["identity"],
        "ip": email,
        "currency": person["last_name"],
        "timestamp": email,
        "value": number + "x",
        "content_type": person["first_name"],
    }
    settings = TikTokSettings("PIXEL", default_phone_region=region)
    action = TikTokDestination(settings).actions["reportWebEvent"]
    checked = Checker(action.fields).check(payload)
    built = action.build(checked.payload, SegmentEvent({}, "track", None), NOW)
    assert isinstance(built, Built)
    assert len(built.warnings) + len(checked.warnings) >= 6
    written = f"{built.body.decode()}{built.warnings}{checked.warnings}{built.envelope}".lower()
    for secret in person.values():
        assert secret.lower() not in written
        assert "".join(filter(str.isalnum, secret.lower())) not in written


@law
@given(text=st.text(max_size=40) | st.from_regex(r"[0-9TZ:/ +-]{1,30}", fullmatch=True))
def test_a_time_is_read_or_not_but_never_raises(text: str) -> None:
    seconds = unix_seconds(text, NOW)
    assert seconds is None or 946_684_800 <= seconds <= NOW.timestamp() + 366 * 86_400


codes = st.sampled_from([0, 20001, 40001, 40002, 40100, 50000, 1]) | st.integers()
messages = st.text(max_size=30) | st.from_regex(r"(data|Batch)(\.| ?\[)[0-9]{1,6}", fullmatch=True)
answers = st.builds(
    lambda code, message: repr({"code": code, "message": message}).replace("'", '"').encode(),
    codes | any_value,
    messages,
)


@law
@given(
    size=st.integers(1, 1000),
    status=st.integers(100, 599),
    body=st.binary(max_size=60) | answers,
    retry_after=st.none() | st.floats(),
)
def test_every_event_of_a_request_gets_an_outcome(
    size: int, status: int, body: bytes, retry_after: float | None
) -> None:
    destination = TikTokDestination(TikTokSettings("PIXEL"))
    outcomes = destination.outcomes(size, WireResponse(status, body, retry_after))
    assert len(outcomes) == size


@law
@given(
    url=st.text() | st.text(max_size=20).map(lambda text: f"https://{text}?{text}&ttclid={text}")
)
def test_any_url_has_a_click_id_or_none(url: str) -> None:
    click = normalise.click_id(url)
    assert click is None or click

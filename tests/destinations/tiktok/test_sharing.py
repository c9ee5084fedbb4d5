"""What of an event TikTok gets: nothing that is left out, hashed or cut ever stands in a body."""

from __future__ import annotations

import copy
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.destination import Built
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.sharing import LimitedDataUse, Sharer, Sharing
from conversion_relay.destinations.tiktok.sharing_checks import (
    sharing_problems,
    sharing_warnings,
)
from conversion_relay.destinations.tiktok.web_event import ReportWebEvent, TikTokSettings
from conversion_relay.destinations.tiktok.wire import WIRE_FIELDS
from destinations.tiktok.building import CHECKER, NOW, PLAIN, digest, run

EVENT = SegmentEvent({"type": "track"}, "track", None)
FULL: JsonObject = {
    "event_source": "crm",
    "lead_fields": {"lead_id": "lead-v", "lead_event_source": "source-v"},
    "event_id": "id-v",
    "email": ["lena@example.com"],
    "phone_number": ["+49301234567"],
    "external_id": ["external-v"],
    "first_name": "Lena",
    "last_name": "Brandt",
    "address": {"city": "Berlin", "state": "be", "country": "DE", "zip_code": "10115"},
    "ttclid": "ttclid-v",
    "ttp": "ttp-v",
    "ip": "203.0.113.77",
    "user_agent": "agent-v",
    "locale": "de-DE",
    "url": "https://user-v@shop.example/a?mail=mail-v&b=1#fragment-v",
    "referrer": "https://from.example/?mail=mail-w&c=2",
    "contents": [
        {"content_id": "content-1", "content_name": "name-1", "price": 1.25, "brand": "brand-v"},
        {"content_id": "content-2", "content_name": "name-2", "quantity": 7},
    ],
    "content_ids": ["ids-1", "ids-2"],
    "content_type": "product_group",
    "currency": "EUR",
    "value": 59.9,
    "query": "query-v",
    "description": "description-v",
    "order_id": "order-v",
    "shop_id": "shop-v",
    "delivery_category": "in_store",
    "num_items": 31,
    "predicted_ltv": 17.5,
    "search_string": "search-v",
}
TRAVELLER: JsonObject = {
    "event_spec_type": "travel_fields",
    "travel_fields": {
        "city": "city-v",
        "checkin_date": "20260102",
        "num_adults": 2,
        "suggested_hotels": ["hotel-1", "hotel-2"],
        "travel_class": "eco",
    },
}
DRIVER: JsonObject = {
    "event_spec_type": "vehicle_fields",
    "vehicle_fields": {
        "vin": "vin-v",
        "mileage_unit": "KM",
        "mileage_value": 1200,
        "preferred_price_range_min": 10,
        "preferred_price_range_max": 20,
        "make": "make-v",
    },
}
PAYLOADS = (FULL, TRAVELLER, DRIVER)
REMOVABLE = [one.path for one in WIRE_FIELDS.values() if one.why_kept is None]
HASHABLE = [one.path for one in WIRE_FIELDS.values() if one.why_plain is None]


def element(payload: JsonObject, sharing: Sharing) -> JsonObject:
    return run(replace(PLAIN, sharing=sharing), None, **payload).element


def notes(payload: JsonObject, sharing: Sharing) -> dict[str, str]:
    settings = TikTokSettings("PIXEL", sharing=sharing)
    checked = CHECKER.check({"event": "Probe", **payload})
    built = ReportWebEvent(settings).build(checked.payload, EVENT, NOW)
    assert isinstance(built, Built)
    return {one.field: one.reason for one in built.shared}


def at(value: Json, path: tuple[str, ...]) -> list[Json]:
    """Everything that stands at the path, in every item of lists."""
    if isinstance(value, list):
        return [one for item in value for one in at(item, path)]
    if not path:
        return [value]
    if not isinstance(value, dict) or path[0] not in value:
        return []
    return at(value[path[0]], path[1:])


def paths(value: Json, before: str = "") -> set[str]:
    if isinstance(value, list):
        return {path for item in value for path in paths(item, before)}
    if not isinstance(value, dict):
        return set()
    found = set[str]()
    for key, one in value.items():
        found |= {before + key} | paths(one, f"{before}{key}.")
    return found


def test_the_table_names_all_that_can_be_sent() -> None:
    for payload in PAYLOADS:
        assert paths(element(payload, Sharing())) <= set(WIRE_FIELDS)


def test_without_settings_every_byte_stays() -> None:
    whole = element(FULL, Sharing())
    shared, done = Sharer(Sharing()).share(whole, {}, EVENT)
    assert shared is whole
    assert done == ()


@pytest.mark.parametrize("path", REMOVABLE)
def test_what_is_left_out_is_gone_and_nothing_else(path: str) -> None:
    for payload in PAYLOADS:
        before = element(payload, Sharing())
        after = element(payload, Sharing(leave_out=(path,)))
        gone = paths(before) - paths(after)
        if path in {"user", "properties"}:
            assert after[path] == {}
        else:
            assert path not in paths(after)
        assert all(one == path or one.startswith(f"{path}.") for one in gone)


@pytest.mark.parametrize("path", HASHABLE)
def test_what_is_hashed_is_a_hash_of_the_text(path: str) -> None:
    for payload in PAYLOADS:
        way = tuple(path.split("."))
        plain = at(element(payload, Sharing()), way)
        hashes = at(element(payload, Sharing(hash=(path,))), way)
        assert hashes == [digest(str(one)) for one in plain]
        assert (path in notes(payload, Sharing(hash=(path,)))) == bool(plain)


def test_every_field_of_a_table_is_met_by_one_of_the_payloads() -> None:
    """Otherwise the two tests above would show nothing of it."""
    met = set[str]().union(*(paths(element(payload, Sharing())) for payload in PAYLOADS))
    assert {"user.ttclid", "properties.contents.brand", "properties.mileage.unit"} <= met
    assert {path for path in HASHABLE if path in met} >= {
        "properties.contents.content_name",
        "properties.content_ids",
        "properties.suggested_hotels",
        "properties.vin",
        "lead.lead_event_source",
    }


def test_the_click_id_leaves_the_url_together_with_the_field() -> None:
    payload: JsonObject = {"url": "https://e.com/?ttclid=click&a=1"}
    kept = element(payload, Sharing(strip_url_parameters=("ttclid",)))
    assert kept["user"] == {"ttclid": "click"}
    assert kept["page"] == {"url": "https://e.com/?a=1"}
    for left_out in ("user.ttclid", "user"):
        shared = element(payload, Sharing(leave_out=(left_out,)))
        assert "click" not in orjson.dumps(shared).decode()
        assert shared["page"] == {"url": "https://e.com/?a=1"}


def test_urls_and_addresses_are_cut() -> None:
    sharing = Sharing(strip_url_parameters=("MAIL",), truncate_ip=True)
    shared = element(FULL, sharing)
    assert shared["page"] == {
        "url": "https://shop.example/a?b=1#fragment-v",
        "referrer": "https://from.example/?c=2",
    }
    assert at(shared, ("user", "ip")) == ["203.0.113.0"]
    assert set(notes(FULL, sharing)) == {"page.url", "page.referrer", "user.ip"}
    everything = element(FULL, Sharing(strip_url_parameters=("*",)))
    assert everything["page"] == {
        "url": "https://shop.example/a",
        "referrer": "https://from.example/",
    }


def test_notes_say_what_was_done_and_no_value() -> None:
    sharing = Sharing(leave_out=("user.email", "properties.vin"), hash=("properties.order_id",))
    assert notes(FULL, sharing) == {
        "properties.order_id": "is a hash (sharing.hash)",
        "user.email": "is left out (sharing.leave_out)",
    }


def test_a_wish_that_was_mapped_is_no_work_of_the_settings() -> None:
    assert notes({"limited_data_use": True}, ALWAYS) == {}
    assert list(notes({"limited_data_use": False}, ALWAYS)) == ["limited_data_use"]


LIMITED = Sharing(
    limited_data_use=LimitedDataUse.BY_REGION, limited_data_use_regions=("de", "US-CA")
)
LENIENT = replace(LIMITED, limited_data_use_when_unknown=False)
ALWAYS = Sharing(limited_data_use=LimitedDataUse.ALWAYS)


@pytest.mark.parametrize(
    ("sharing", "payload", "limited"),
    [
        (Sharing(), {}, False),
        (ALWAYS, {}, True),
        (ALWAYS, {"limited_data_use": False}, True),
        (LIMITED, {"address": {"country": "DE"}}, True),
        (LIMITED, {"address": {"country": "FR"}}, False),
        (LIMITED, {"address": {"country": "FR"}, "limited_data_use": True}, True),
        (LIMITED, {"address": {"country": "US", "state": "CA"}}, True),
        (LIMITED, {"address": {"country": "US", "state": "NY"}}, False),
        (LIMITED, {"address": {"country": "US"}}, True),
        (LENIENT, {"address": {"country": "US"}}, False),
        (LIMITED, {"address": {"country": "US", "state": "06"}}, True),
        (LIMITED, {"address": {"country": "Germany"}, "locale": "en-GB"}, True),
        (LENIENT, {"address": {"country": "Germany"}, "locale": "de-DE"}, False),
        (LIMITED, {"locale": "de-DE"}, True),
        (LIMITED, {"locale": "fr-FR"}, False),
        (LIMITED, {}, True),
        (LENIENT, {}, False),
        (LENIENT, {"limited_data_use": True}, True),
        (replace(LIMITED, leave_out=("user",)), {"address": {"country": "FR"}}, False),
        (replace(LIMITED, leave_out=("user.country",)), {"address": {"country": "DE"}}, True),
    ],
)
def test_limited_data_use(sharing: Sharing, payload: JsonObject, limited: bool) -> None:
    assert element(payload, sharing)["limited_data_use"] is limited


SHARINGS = st.builds(
    Sharing,
    leave_out=st.lists(st.sampled_from(REMOVABLE), max_size=6).map(tuple),
    hash=st.lists(st.sampled_from(HASHABLE), max_size=6).map(tuple),
    strip_url_parameters=st.lists(st.sampled_from(["mail", "b", "x*", "*"]), max_size=2).map(
        tuple
    ),
    truncate_ip=st.booleans(),
    limited_data_use=st.sampled_from(LimitedDataUse),
    limited_data_use_regions=st.lists(st.sampled_from(["DE", "US-CA"]), max_size=2).map(tuple),
    limited_data_use_when_unknown=st.booleans(),
)


@given(SHARINGS, st.sampled_from(PAYLOADS), st.booleans())
def test_sharing_twice_is_sharing_once_and_changes_no_argument(
    sharing: Sharing,
    payload: JsonObject,
    limited: bool,
) -> None:
    whole = element({**payload, "limited_data_use": limited}, Sharing())
    before = copy.deepcopy(whole)
    sharer = Sharer(replace(sharing, limited_data_use_when_unknown=False))
    once, _ = sharer.share(whole, {}, EVENT)
    twice, _ = sharer.share(once, {}, EVENT)
    assert whole == before
    assert twice == once
    assert once["limited_data_use"] is True or not limited
    assert {"event", "event_time", "user", "properties"} <= once.keys()


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8
)
SECRET = TEXTS.map(lambda text: f"geheim{text}geheim")


@given(SECRET, st.sampled_from(["query", "order_id", "description", "search_string"]))
def test_a_secret_that_is_hashed_or_left_out_stands_nowhere(secret: str, key: str) -> None:
    path = f"properties.{key}"
    for sharing in (Sharing(hash=(path,)), Sharing(leave_out=(path,))):
        body = orjson.dumps(element({**FULL, key: secret}, sharing))
        assert secret.encode() not in body
        assert b"geheim" not in body


BY_EVERYTHING = ("user.ttclid", "user.ttp", "user.email", "user.phone", "user.external_id")


@pytest.mark.parametrize(
    ("sharing", "key", "words"),
    [
        (Sharing(leave_out=("user.emial",)), "leave_out", 'did you mean "user.email"?'),
        (Sharing(leave_out=("email",)), "leave_out", 'did you mean "user.email"?'),
        (Sharing(leave_out=("contents.0.price",)), "leave_out", "there is no such field"),
        (Sharing(leave_out=("q",)), "leave_out", "there is no such field"),
        (Sharing(leave_out=("event",)), "leave_out", "no event without it"),
        (Sharing(leave_out=("event_time",)), "leave_out", "no event without it"),
        (Sharing(leave_out=("event_id",)), "leave_out", "recognise copies"),
        (Sharing(leave_out=("limited_data_use",)), "leave_out", "wish"),
        (Sharing(leave_out=("lead.lead_id",)), "leave_out", "no event of a CRM"),
        (Sharing(hash=("user.email",)), "hash", "as a hash already"),
        (Sharing(hash=("user.ip",)), "hash", "in clear only"),
        (Sharing(hash=("properties.value",)), "hash", "a number only"),
        (Sharing(hash=("properties.content_type",)), "hash", "certain words only"),
        (Sharing(hash=("properties.checkin_date",)), "hash", "a date only"),
        (Sharing(hash=("properties.contents",)), "hash", "name its parts"),
        (Sharing(hash=("page.url",)), "hash", "strip_url_parameters"),
        (Sharing(hash=("properties.qeury",)), "hash", 'did you mean "properties.query"?'),
        (
            Sharing(hash=("properties.query",), leave_out=("properties.query",)),
            "hash",
            "names it as well",
        ),
        (Sharing(strip_url_parameters=("a=b",)), "strip_url_parameters", "name of a parameter"),
        (Sharing(strip_url_parameters=("a*b",)), "strip_url_parameters", "name of a parameter"),
        (replace(LIMITED, limited_data_use_regions=("EU",)), "limited_data_use_regions", '"EU"'),
        (
            replace(LIMITED, limited_data_use_regions=("US-CALI",)),
            "limited_data_use_regions",
            "ISO 3166-2",
        ),
        (
            replace(LIMITED, limited_data_use_regions=()),
            "limited_data_use_regions",
            "at least one",
        ),
        (Sharing(limited_data_use_regions=("DE",)), "limited_data_use_regions", "no effect"),
    ],
)
def test_what_cannot_be_shared_is_said_at_load(sharing: Sharing, key: str, words: str) -> None:
    ((found, sentence),) = sharing_problems(sharing)
    assert found == key
    assert words in sentence


@pytest.mark.parametrize(
    "sharing",
    [
        Sharing(),
        Sharing(leave_out=tuple(REMOVABLE)),
        Sharing(hash=tuple(HASHABLE)),
        Sharing(strip_url_parameters=("email", "utm_*", "*", "user[mail]"), truncate_ip=True),
        LIMITED,
        ALWAYS,
    ],
)
def test_what_can_be_shared_has_no_problem(sharing: Sharing) -> None:
    assert sharing_problems(sharing) == ()


@pytest.mark.parametrize(
    ("left_out", "warned"),
    [
        ((), False),
        (("user",), True),
        (BY_EVERYTHING, False),
        ((*BY_EVERYTHING, "user.ip"), True),
        ((*BY_EVERYTHING, "user.user_agent"), True),
        ((*BY_EVERYTHING[1:], "user.ip"), False),
    ],
)
def test_settings_that_leave_nobody_to_recognise_are_warned_of(
    left_out: tuple[str, ...],
    warned: bool,
) -> None:
    assert bool(sharing_warnings(Sharing(leave_out=left_out))) is warned

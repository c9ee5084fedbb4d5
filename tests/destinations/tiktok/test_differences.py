"""Where we differ from Segment's published code on purpose; docs/parity.md lists every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from destinations.tiktok.building import NOW_SECONDS, digest, run

if TYPE_CHECKING:
    from conversion_relay.core.values import Json, JsonObject

HASH = "9f7ec22d72092cd3c0b58726ed9c2d91b92e51a3f29837508fb2948bb22dd2fd"


def test_email_is_trimmed() -> None:
    """Segment hashes the spaces too."""
    assert run(email=" Alice@Example.com\n").user == {"email": [digest("alice@example.com")]}


def test_external_id_is_trimmed() -> None:
    """Segment hashes the spaces too."""
    assert run(external_id=" User_1 ").user == {"external_id": [digest("user_1")]}


def test_external_id_can_keep_its_case() -> None:
    """Segment always lower-cases; TikTok's own browser tag does not."""
    settings = TikTokSettings("PIXEL", lower_case_external_id=False)
    assert run(settings, external_id=" User_1 ").user == {"external_id": [digest("User_1")]}


def test_phone_keeps_fifteen_digits() -> None:
    """Segment cuts to fifteen characters, the plus included."""
    assert run(phone_number="+123456789012345").user == {"phone": [digest("+123456789012345")]}


@pytest.mark.parametrize("number", ["+1234567890123456", "n/a", "+"])
def test_phone_that_is_none_is_left_out(number: str) -> None:
    """Segment hashes the first fourteen digits, or a bare plus."""
    outcome = run(phone_number=[number, "+12133734253"])
    assert outcome.user == {"phone": [HASH]}
    assert outcome.fields == ["phone_number.0"]


def test_phone_with_leading_zeros_is_international() -> None:
    """Segment hashes +0049…."""
    assert run(phone_number="0049 30 1234567").user == {"phone": [digest("+49301234567")]}


def test_phone_of_a_region_gets_its_country_code() -> None:
    """Segment hashes the national digits behind a plus."""
    settings = TikTokSettings("PIXEL", default_phone_region="DE")
    assert run(settings, phone_number="030 1234567").user == {"phone": [digest("+49301234567")]}


def test_names_lose_their_punctuation() -> None:
    """Segment removes white space only."""
    user = run(first_name="Jean-Luc", last_name="O'Neill").user
    assert user == {"first_name": digest("jeanluc"), "last_name": digest("oneill")}


def test_postal_code_loses_its_dash() -> None:
    """Segment removes white space only."""
    assert run(address={"zip_code": "94107-1234"}).user == {"zip_code": digest("941071234")}


def test_city_and_state_keep_letters_of_every_script() -> None:
    """Segment keeps A to Z only: mnchen."""
    user = run(address={"city": "München", "state": "Île-de-France"}).user
    assert user == {"city": "münchen", "state": "îledefrance"}


def test_country_is_two_letters_or_nothing() -> None:
    """Segment sends unitedstates."""
    outcome = run(address={"country": "United States"})
    assert outcome.user == {}
    assert outcome.fields == ["address.country"]


@pytest.mark.parametrize("given", [HASH.upper(), f" {HASH} "])
def test_a_hash_is_lower_cased_and_trimmed(given: str) -> None:
    """Segment sends it as it is, or hashes it again."""
    user = run(email=given, phone_number=given, first_name=given).user
    assert user == {"email": [HASH], "phone": [HASH], "first_name": HASH}


def test_nothing_empty_is_sent() -> None:
    """Segment sends "" for names and places, [] for lists."""
    element = run(first_name="", email=[], contents=[]).element
    assert element["user"] == {}
    assert element["properties"] == {}


@pytest.mark.parametrize("item", [{"price": None, "content_id": None}, {"price": ""}, {}])
def test_contents_without_values_are_dropped(item: Json) -> None:
    """Segment sends price 0 and content_id "", or rejects the event, or sends {}."""
    outcome = run(contents=[item, {"price": 2}])
    assert outcome.properties == {"contents": [{"price": 2}]}
    assert outcome.fields == []


def test_empty_texts_in_lists_are_dropped() -> None:
    """Segment keeps ""."""
    assert run(content_ids=["a", "", None]).properties == {"content_ids": ["a"]}


@pytest.mark.parametrize(
    ("value", "fields"),
    [([None], []), ([""], []), ("  ", ["value"]), ("Infinity", ["value"]), ("1e400", ["value"])],
)
def test_what_is_no_amount_is_not_sent(value: Json, fields: list[str]) -> None:
    """Segment sends 0, or null, or rejects."""
    outcome = run(value=value)
    assert outcome.properties == {}
    assert outcome.fields == fields


def test_long_numbers_keep_their_digits_as_text() -> None:
    """Segment rounds to 12345678901234567000."""
    assert run(order_id=12345678901234567890).properties == {"order_id": "12345678901234567890"}


def test_an_optional_field_that_is_not_usable_costs_only_itself() -> None:
    """Segment rejects the event: a lost conversion."""
    outcome = run(value="dear", currency="EUR", content_type="thing", contents=[{"price": "x"}])
    assert outcome.properties == {"currency": "EUR"}
    assert outcome.fields == ["value", "content_type", "contents.0.price"]


@pytest.mark.parametrize("name", ["1st Order", " Order", "x" * 51])
def test_a_name_that_tiktok_does_not_take_is_rejected_here(name: str) -> None:
    """Segment sends it, to be refused or filed under no name."""
    assert run(event=name).rejected == ["event"]


def test_an_empty_click_id_in_the_url_does_not_hide_the_field() -> None:
    """Segment sends "" then."""
    assert run(url="https://e.com/?ttclid=", ttclid="field").user == {"ttclid": "field"}


def test_ip_is_an_address() -> None:
    """Segment sends anything."""
    outcome = run(ip="203.0.113.7, 10.0.0.1")
    assert outcome.user == {}
    assert outcome.fields == ["ip"]


def test_currency_is_one_of_tiktok() -> None:
    """Segment sends anything, in any case."""
    assert run(currency=" usd ").properties == {"currency": "USD"}
    outcome = run(currency="Euro")
    assert outcome.properties == {}
    assert outcome.fields == ["currency"]


@pytest.mark.parametrize("given", ["1767607200", "1767607200000", 1767607200, 1767607200000.0])
def test_unix_times_are_read(given: Json) -> None:
    """Segment sends null."""
    outcome = run(timestamp=given)
    assert outcome.element["event_time"] == 1767607200
    assert outcome.fields == []


@pytest.mark.parametrize("given", ["yesterday", "05.01.2026", "1970-01-01", "2126-01-01", "NaN"])
@pytest.mark.parametrize(
    ("arrival", "seconds"),
    [
        ({"receivedAt": "2026-01-05T10:00:02Z", "sentAt": "2026-01-05T10:00:01Z"}, 1767607202),
        ({"receivedAt": "soon", "sentAt": "2026-01-05T10:00:01Z"}, 1767607201),
        ({"receivedAt": 5}, NOW_SECONDS),
    ],
)
def test_an_unreadable_time_becomes_that_of_arrival(
    given: str, arrival: JsonObject, seconds: int
) -> None:
    """Segment sends null, or a year nobody meant."""
    outcome = run(timestamp=given, arrival=arrival)
    assert outcome.element["event_time"] == seconds
    assert outcome.fields == ["timestamp"]


def test_without_a_time_that_of_arrival_is_taken() -> None:
    """Segment takes the moment of sending, which is late after an outage."""
    outcome = run(timestamp=None, arrival={"receivedAt": "2026-01-05T10:00:02Z"})
    assert outcome.element["event_time"] == 1767607202
    assert outcome.fields == []


def test_a_crm_event_without_its_lead_is_sent_with_a_warning() -> None:
    """Segment sends it without a word."""
    outcome = run(event_source="crm", lead_fields={"lead_event_source": "HubSpot"})
    assert "lead" not in outcome.element
    assert outcome.fields == ["lead_fields.lead_id"]


def test_partner_name_is_sent_only_if_set() -> None:
    """Segment names itself, which we are not."""
    assert "partner_name" not in run().envelope
    assert run(TikTokSettings("P", partner_name="Relay")).envelope["partner_name"] == "Relay"


def test_half_a_character_is_replaced() -> None:
    """Segment sends a lone surrogate, which is no valid UTF-8."""
    assert run(description="cut \ud83d").properties == {"description": "cut \ufffd"}

"""Match keys in TikTok's form: what is remembered is what would be sent, and which are counted."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Built
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, KINDS, PHONE
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.fields import FIELDS
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings

NOW = datetime(2026, 1, 10, tzinfo=UTC)
EVENT = SegmentEvent({"type": "track"}, "track", None)
HASH = sha256(b"somebody").hexdigest()
PLAIN = TikTokDestination(TikTokSettings("PIXEL"))
OTHER = TikTokDestination(
    TikTokSettings("PIXEL", default_phone_region="DE", lower_case_external_id=False)
)
CARRIERS: Final = {one.match_key: one.key for one in FIELDS if one.match_key}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def built(destination: TikTokDestination, payload: JsonObject) -> Built:
    (action,) = destination.actions.values()
    checked = Checker(action.fields).check({"event": "Purchase", **payload})
    found = action.build(checked.payload, EVENT, NOW)
    assert isinstance(found, Built)
    return found


def test_each_kind_has_its_field() -> None:
    assert set(CARRIERS) == set(KINDS)
    assert set(KINDS) < set(PLAIN.match_keys)


@pytest.mark.parametrize(
    ("destination", "kind", "text", "expected"),
    [
        (PLAIN, EMAIL, " Lena@Example.COM ", digest("lena@example.com")),
        (PLAIN, EMAIL, HASH.upper(), HASH),
        (PLAIN, EMAIL, "lena", None),
        (PLAIN, EMAIL, "lena@ example.com", None),
        (PLAIN, EMAIL, "a@b@c", None),
        (PLAIN, EMAIL, "  ", None),
        (PLAIN, PHONE, "+49 (30) 1234567", digest("+49301234567")),
        (PLAIN, PHONE, "030 1234567", digest("+0301234567")),
        (OTHER, PHONE, "030 1234567", digest("+49301234567")),
        (PLAIN, PHONE, HASH, HASH),
        (PLAIN, PHONE, "n/a", None),
        (PLAIN, PHONE, "000", None),
        (PLAIN, PHONE, "1" * 16, None),
        (PLAIN, EXTERNAL_ID, " Buyer-1 ", digest("buyer-1")),
        (OTHER, EXTERNAL_ID, " Buyer-1 ", digest("Buyer-1")),
        (PLAIN, EXTERNAL_ID, HASH, HASH),
        (PLAIN, EXTERNAL_ID, " ", None),
        (PLAIN, "ttclid", "click", None),
    ],
)
def test_the_form_of_a_key(
    destination: TikTokDestination, kind: str, text: str, expected: str | None
) -> None:
    assert destination.match_key(kind, text) == expected


@given(st.sampled_from([PLAIN, OTHER]), st.sampled_from(KINDS), st.text(max_size=30))
def test_a_form_is_what_is_sent_and_stays_as_it_is(
    destination: TikTokDestination, kind: str, text: str
) -> None:
    form = destination.match_key(kind, text)
    if form is None:
        return
    for given_value in (text, form):
        user = orjson.loads(built(destination, {CARRIERS[kind]: given_value}).body)["user"]
        assert user == {kind: [form]}


@pytest.mark.parametrize(
    ("payload", "keys"),
    [
        ({}, set()),
        ({"email": "a@b"}, {"email"}),
        ({"phone_number": ["n/a"]}, set()),
        ({"phone_number": "+4930", "external_id": "7"}, {"phone", "external_id"}),
        ({"ttp": "cookie", "ttclid": "click"}, {"ttp", "ttclid"}),
        ({"ip": "203.0.113.7"}, set()),
        ({"user_agent": "Mozilla"}, set()),
        ({"ip": "203.0.113.7", "user_agent": "Mozilla"}, {"ip_and_user_agent"}),
        ({"ip": "no address", "user_agent": "Mozilla", "locale": "de"}, set()),
        ({"first_name": "Lena"}, set()),
    ],
)
def test_which_keys_an_event_carries(payload: dict[str, Json], keys: set[str]) -> None:
    assert built(PLAIN, payload).keys == keys
    assert keys <= set(PLAIN.match_keys)

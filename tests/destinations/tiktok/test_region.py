"""Where a visitor lives: the surest place tells, and what is no code tells nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.region import Region, region_of

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=6)


def region(payload: JsonObject, context: Json = None) -> Region | None:
    event = SegmentEvent({"type": "track", "context": context}, "track", None)
    return region_of(payload, event)


def home(country: Json, state: Json = None) -> JsonObject:
    return {"address": {"country": country, "state": state}}


def place(country: Json, state: Json = None) -> JsonObject:
    return {"location": {"country": country, "region": state}}


@pytest.mark.parametrize(
    ("payload", "context", "expected"),
    [
        (home("de"), None, Region("DE")),
        (home("us", "ca"), None, Region("US", "CA")),
        (home(" us ", "US-CA"), None, Region("US", "CA")),
        (home("us", "california"), None, Region("US")),
        (home("us"), place("US", "CA"), Region("US", "CA")),
        (home("us", "california"), place("US", "NY"), Region("US")),
        (home("us"), place("DE", "BE"), Region("US")),
        (home("us"), place(None, "CA"), Region("US")),
        (home("uk"), None, Region("GB")),
        (home("UK", "ENG"), place("gb", "sct"), Region("GB", "ENG")),
        (home("zz"), place("FR"), None),
        (home("Germany"), {**place("FR"), "locale": "en-US"}, None),
        (home(" "), place("FR"), Region("FR")),
        (home(7), place("FR"), None),
        ({}, {**place("United States"), "locale": "en-GB"}, None),
        ({}, place("us", "US-CA"), Region("US", "CA")),
        ({"locale": "de-AT"}, {"locale": "de-DE"}, Region("AT")),
        ({"locale": "zh-Hant-TW"}, None, Region("TW")),
        ({"locale": "en_US.UTF-8"}, None, Region("US")),
        ({"locale": "de"}, None, None),
        ({"locale": "de-1996"}, None, None),
        ({}, {"location": "DE"}, None),
        ({"address": "DE"}, None, None),
        ({}, {}, None),
        ({}, [], None),
    ],
)
def test_regions(payload: JsonObject, context: Json, expected: Region | None) -> None:
    assert region(payload, context) == expected


@pytest.mark.parametrize(
    ("found", "code", "expected"),
    [
        (Region("DE"), "DE", True),
        (Region("DE", "BE"), "DE", True),
        (Region("DE"), "FR", False),
        (Region("US", "CA"), "US-CA", True),
        (Region("US", "NY"), "US-CA", False),
        (Region("US"), "US-CA", None),
        (Region("US", "06"), "US-CA", None),
        (Region("US", "CAL"), "US-CA", None),
        (Region("FR", "IDF"), "FR-75", None),
        (Region("FR", "69"), "FR-75", False),
        (Region("DE"), "US-CA", False),
    ],
)
def test_lying_in(found: Region, code: str, expected: bool | None) -> None:
    assert found.lies_in(code) is expected


@given(LEAVES, LEAVES, LEAVES)
def test_every_shape_is_answered(country: Json, state: Json, locale: Json) -> None:
    region(home(country, state), {**place(state, country), "locale": locale})
    region({"address": country, "locale": locale}, {"location": state})

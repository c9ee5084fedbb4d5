"""Where a visitor lives: the surest place tells, and what is no code tells nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json
from conversion_relay.destinations.tiktok.region import Region, region_of

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=6)


def region(user: Json, context: Json = None) -> Region | None:
    return region_of(user, SegmentEvent({"type": "track", "context": context}, "track", None))


@pytest.mark.parametrize(
    ("user", "context", "expected"),
    [
        ({"country": "de"}, None, Region("DE")),
        ({"country": "us", "state": "ca"}, None, Region("US", "CA")),
        ({"country": "us", "state": "california"}, None, Region("US")),
        ({"country": "us"}, {"location": {"country": "US", "region": "CA"}}, Region("US", "CA")),
        ({"country": "us"}, {"location": {"country": "DE", "region": "BE"}}, Region("US")),
        ({"country": "us"}, {"location": {"region": "CA"}}, Region("US")),
        ({"country": "uk"}, None, Region("GB")),
        ({"country": "zz"}, {"location": {"country": "FR"}}, Region("FR")),
        ({}, {"location": {"country": "United States"}, "locale": "en-GB"}, Region("GB")),
        ({}, {"location": {"country": "us", "region": "US-CA"}}, Region("US", "CA")),
        ({"locale": "de-AT"}, {"locale": "de-DE"}, Region("AT")),
        ({"locale": "zh-Hant-TW"}, None, Region("TW")),
        ({"locale": "en_US.UTF-8"}, None, Region("US")),
        ({"locale": "de"}, None, None),
        ({"locale": "de-1996"}, None, None),
        ({}, {"location": "DE"}, None),
        ({}, {}, None),
        (None, None, None),
        ([], [], None),
    ],
)
def test_regions(user: Json, context: Json, expected: Region | None) -> None:
    assert region(user, context) == expected


@pytest.mark.parametrize(
    ("found", "code", "expected"),
    [
        (Region("DE"), "DE", True),
        (Region("DE", "BE"), "DE", True),
        (Region("DE"), "FR", False),
        (Region("US", "CA"), "US-CA", True),
        (Region("US", "NY"), "US-CA", False),
        (Region("US"), "US-CA", None),
        (Region("DE"), "US-CA", False),
    ],
)
def test_lying_in(found: Region, code: str, expected: bool | None) -> None:
    assert found.lies_in(code) is expected


@given(st.dictionaries(st.sampled_from(["country", "state", "locale"]), LEAVES), LEAVES, LEAVES)
def test_every_shape_is_answered(user: dict[str, Json], place: Json, locale: Json) -> None:
    region({**user}, {"location": place, "locale": locale})
    region({**user}, {"location": {"country": place, "region": locale}})

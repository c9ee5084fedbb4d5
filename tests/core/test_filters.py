"""What an event itself says of the destinations that may get it: every shape has an outcome."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.filters import (
    NOT_REQUIRED,
    ConsentRule,
    Names,
    WithoutConsent,
    refusal,
    with_options,
)
from conversion_relay.core.values import Json, JsonObject

NAMES = Names.of("eu", "TikTok Conversions", ("Tiktok Conversions", "TTC"))
ADS = ConsentRule(("advertising",))
BOTH = ConsentRule(("advertising", "analytics"))
LENIENT = ConsentRule(("advertising",), WithoutConsent.SEND)

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["All", "all", "ALL", "eu", "EU", "TikTok Conversions", "tiktok conversions", "ttc", "Other"]
)


def passes(integrations: Json) -> bool:
    return refusal({"integrations": integrations}, NAMES, NOT_REQUIRED) is None


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ({}, True),
        ({"All": True}, True),
        ({"All": False}, False),
        ({"all": False}, False),
        ({"All": "false"}, False),
        ({"All": " FALSE "}, False),
        ({"All": "true"}, True),
        ({"All": None}, True),
        ({"All": 0}, False),
        ({"All": 1}, False),
        ({"All": {}}, True),
        ({"All": []}, True),
        ({"All": ["x"]}, False),
        ({"Other": False}, True),
        ({"TikTok Conversions": False}, False),
        ({"Tiktok Conversions": False}, False),
        ({"tiktok conversions": False}, False),
        ({"ttc": False}, False),
        ({"TikTok Conversions": True}, True),
        ({"TikTok Conversions": None}, True),
        ({"TikTok Conversions": "no"}, False),
        ({"TikTok Conversions": ""}, False),
        ({"TikTok Conversions": 0}, False),
        ({"TikTok Conversions": []}, True),
        ({"TikTok Conversions": {"ttclid": "c"}}, True),
        ({"All": False, "TikTok Conversions": True}, True),
        ({"All": False, "TIKTOK CONVERSIONS": {}}, True),
        ({"All": False, "TikTok Conversions": None}, False),
        ({"All": False, "Other": True}, False),
        ({"All": True, "TikTok Conversions": False}, False),
        ({"eu": False}, False),
        ({"EU": False}, False),
        ({"TikTok Conversions": False, "eu": True}, True),
        ({"TikTok Conversions": True, "eu": False}, False),
        ({"TikTok Conversions": False, "eu": None}, False),
        ({"All": False, "eu": {"ttclid": "c"}}, True),
        ({"TikTok Conversions": True, "ttc": False}, False),
        (None, True),
        ([], True),
        ([False], True),
        (["All"], True),
        (7, True),
        (False, True),
        ("All", True),
    ],
)
def test_integrations(integrations: Json, expected: bool) -> None:
    assert passes(integrations) is expected


@pytest.mark.parametrize(
    ("rule", "context", "expected"),
    [
        (NOT_REQUIRED, {}, True),
        (NOT_REQUIRED, {"consent": {"categoryPreferences": {"advertising": False}}}, True),
        (ADS, {"consent": {"categoryPreferences": {"advertising": True}}}, True),
        (ADS, {"consent": {"categoryPreferences": {"advertising": False}}}, False),
        (ADS, {"consent": {"categoryPreferences": {"advertising": "true"}}}, False),
        (ADS, {"consent": {"categoryPreferences": {"advertising": 1}}}, False),
        (ADS, {"consent": {"categoryPreferences": {"Advertising": True}}}, False),
        (ADS, {"consent": {"categoryPreferences": {}}}, False),
        (ADS, {"consent": {"categoryPreferences": [True]}}, False),
        (ADS, {"consent": {"categoryPreferences": "advertising"}}, False),
        (ADS, {"consent": {}}, False),
        (ADS, {"consent": None}, False),
        (ADS, {"consent": True}, False),
        (ADS, {}, False),
        (ADS, None, False),
        (ADS, [], False),
        (BOTH, {"consent": {"categoryPreferences": {"advertising": True}}}, False),
        (
            BOTH,
            {"consent": {"categoryPreferences": {"advertising": True, "analytics": True}}},
            True,
        ),
        (
            BOTH,
            {"consent": {"categoryPreferences": {"advertising": True, "analytics": False}}},
            False,
        ),
        (LENIENT, {}, True),
        (LENIENT, None, True),
        (LENIENT, {"consent": None}, True),
        (LENIENT, {"consent": {}}, True),
        (LENIENT, {"consent": {"categoryPreferences": None}}, True),
        (LENIENT, {"consent": {"categoryPreferences": {}}}, False),
        (LENIENT, {"consent": {"categoryPreferences": {"advertising": False}}}, False),
        (LENIENT, {"consent": "yes"}, False),
        (LENIENT, {"consent": []}, False),
        (LENIENT, {"consent": {"categoryPreferences": "all"}}, False),
    ],
)
def test_consent(rule: ConsentRule, context: Json, expected: bool) -> None:
    found = refusal({"context": context}, NAMES, rule)
    assert (found is None) is expected
    assert found is None or found.field == "context.consent"


def test_consent_is_asked_first_and_the_reasons_hold_names_alone() -> None:
    secret: JsonObject = {"categoryPreferences": {"advertising": "lena@example.com"}}
    payload: JsonObject = {"context": {"consent": secret}, "integrations": {"All": "lena"}}
    by_consent = refusal(payload, NAMES, ADS)
    by_name = refusal(payload, NAMES, NOT_REQUIRED)
    assert by_consent is not None
    assert by_name is not None
    assert (by_consent.field, by_name.field) == ("context.consent", "integrations")
    assert by_consent.reason == "does not say true for advertising"
    assert by_name.reason == "says a string, which is neither true, false nor options, for All"
    off = refusal({"integrations": {"EU": False}}, NAMES, NOT_REQUIRED)
    assert off is not None
    assert off.reason == "says false for this destination"


@pytest.mark.parametrize(
    ("integrations", "options"),
    [
        ({"tiktok conversions": {"ttclid": "c"}}, {"ttclid": "c"}),
        ({"ttc": {"ttclid": "c"}}, {"ttclid": "c"}),
        ({"EU": {"ttclid": "c"}}, {"ttclid": "c"}),
        ({"TikTok Conversions": {"ttclid": "t"}, "eu": {"ttclid": "e"}}, {"ttclid": "e"}),
        (
            {"eu": {"ttclid": "e"}, "TikTok Conversions": {"ttclid": "t", "ttp": "p"}},
            {"ttclid": "e", "ttp": "p"},
        ),
        ({"TikTok Conversions": True, "eu": {"ttp": "p"}}, {"ttp": "p"}),
    ],
)
def test_options_are_found_under_every_name(integrations: Json, options: Json) -> None:
    payload: JsonObject = {"type": "track", "integrations": integrations}
    before = copy.deepcopy(payload)
    seen = with_options(payload, NAMES)["integrations"]
    assert isinstance(seen, dict)
    assert seen["TikTok Conversions"] == options
    assert payload == before


@pytest.mark.parametrize(
    "integrations",
    [None, [], {}, {"All": True}, {"TikTok Conversions": {"ttclid": "c"}}, {"eu": True}],
)
def test_a_payload_that_needs_no_completion_stays_itself(integrations: Json) -> None:
    payload: JsonObject = {"integrations": integrations}
    assert with_options(payload, NAMES) is payload


@given(st.dictionaries(WORDS, VALUES), VALUES)
def test_every_shape_is_answered_and_nothing_of_it_is_said(
    integrations: dict[str, Json], consent: Json
) -> None:
    payload: JsonObject = {"integrations": {**integrations}, "context": {"consent": consent}}
    before = copy.deepcopy(repr(payload))
    for rule in (NOT_REQUIRED, ADS, LENIENT):
        found = refusal(payload, NAMES, rule)
        assert found is None or found.field in {"integrations", "context.consent"}
    with_options(payload, NAMES)
    assert repr(payload) == before


@given(st.dictionaries(WORDS, VALUES))
def test_a_plain_no_to_its_own_name_always_holds(integrations: dict[str, Json]) -> None:
    own = {key: one for key, one in integrations.items() if key.casefold() != "eu"}
    assert not passes({**own, "eu": False})
    assert passes({**own, "eu": True})


@given(st.dictionaries(WORDS, VALUES), VALUES)
def test_what_is_not_true_is_no_consent(integrations: dict[str, Json], answer: Json) -> None:
    preferences: JsonObject = {"categoryPreferences": {"advertising": answer}}
    payload: JsonObject = {"integrations": {**integrations}, "context": {"consent": preferences}}
    found = refusal(payload, NAMES, ADS)
    if answer is not True:
        assert found is not None
        assert found.field == "context.consent"

"""Of an event that is masked no value shows but those of the allow-list; its structure does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.values import Json
from conversion_relay.service.http.admin.masking import MASK, SHOWN, masked
from support.events import order

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_KEYS = sorted({key for place in SHOWN.values() for key in place} | {"context", "traits", "user"})
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_EVENTS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*_KEYS, "properties", "products"]), inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=30,
)


def leaves(value: Json, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every value that holds no others, with the keys above it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, place)
    else:
        yield place, value


def shape(value: Json) -> Json:
    """The structure without keys and values."""
    if isinstance(value, dict):
        return [shape(inner) for inner in value.values()]
    return [shape(inner) for inner in value] if isinstance(value, list) else None


@given(_EVENTS)
def test_no_leaf_outside_the_allow_list_survives(event: Json) -> None:
    for place, value in leaves(masked(event)):
        allowed = place and place[-1] in SHOWN.get(place[:-1], {})
        assert allowed or value is None or str(value).startswith(MASK)


@given(_EVENTS)
def test_the_structure_stays(event: Json) -> None:
    assert shape(masked(event)) == shape(event)


@given(st.text(min_size=1), st.sampled_from(["context", "traits", "user", "anything"]))
def test_what_is_said_of_people_never_shows(secret: str, where: str) -> None:
    """Not even under the name of a key whose value shows elsewhere."""
    for key in _KEYS:
        told = masked({where: {key: [secret], "inside": {key: secret}}})
        assert {value for _, value in leaves(told)} <= {masked([secret])[0]}  # type: ignore[index]


def test_an_order_as_it_is_shown() -> None:
    told = masked(order("m-1"))
    assert isinstance(told, dict)
    assert told["event"] == "Order Completed"
    assert told["messageId"] == "m-1"
    assert told["timestamp"] == "2026-11-20T10:15:30.250Z"
    assert told["userId"] == f"{MASK} text, up to 16"
    assert told["properties"] == {
        "order_id": f"{MASK} text, up to 8",
        "revenue": 59.9,
        "currency": "EUR",
        "query": f"{MASK} text, up to 8",
        "products": [
            {
                "product_id": "lamp-1",
                "name": f"{MASK} text, up to 8",
                "price": 29.95,
                "quantity": 2,
                "brand": f"{MASK} text, up to 8",
            }
        ],
    }
    for secret in ("Lena", "Brandt", "example.com", "203.0.113", "Berlin", "buyer-311", "click-1"):
        assert secret not in str(told)


@pytest.mark.parametrize(
    ("place", "value", "shows"),
    [
        ("value", 12.5, True),
        ("value", "12,50", True),
        ("value", -3, True),
        ("value", 1e300, False),
        ("value", True, False),
        ("value", "lena@example.com", False),
        ("revenue", "\u0661\u0662", False),
        ("currency", "EUR", True),
        ("currency", "Brandt", False),
        ("product_id", "sku-1.2_3", True),
        ("product_id", "lena@example.com", False),
        ("product_id", HASH, False),
        ("product_id", "Lena Brandt", False),
        ("content_ids", ["a-1", "b c"], False),
        ("order_id", "A-77", False),
        ("email", HASH, False),
    ],
)
def test_what_shows_looks_as_it_should(place: str, value: Json, shows: bool) -> None:
    told = masked({"properties": {place: value}})
    assert (told == {"properties": {place: value}}) is shows


def test_a_name_that_is_an_address_is_masked() -> None:
    told = masked({"event": "lena@example.com", "messageId": "x" * 101, "type": "track"})
    assert told == {
        "event": f"{MASK} text, up to 16",
        "messageId": f"{MASK} text, up to 256",
        "type": "track",
    }


@pytest.mark.parametrize(
    ("key", "reads"),
    [
        ("first_name", True),
        ("$set", True),
        ("lena@example.com", False),
        ("Lena Brandt", False),
        ("user_4930123456", False),
        ("k\u00f6nig", False),
        ("", False),
        (HASH, False),
        ("x" * 41, False),
    ],
)
def test_a_key_that_may_be_somebody_is_masked(key: str, reads: bool) -> None:
    told = masked({"traits": {key: 1, "other@example.com": 2}})
    assert isinstance(told, dict)
    traits = told["traits"]
    assert isinstance(traits, dict)
    assert (key in traits) is reads
    assert len(traits) == 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "empty text"),
        ("a", "text, up to 8"),
        ("a" * 9, "text, up to 16"),
        ("a" * 257, "text, more than 256"),
        (HASH, "hash"),
        (7, "number"),
        (7.5, "number"),
        (False, "true or false"),
    ],
)
def test_what_is_masked_says_what_kind_of_value_it_is(value: Json, words: str) -> None:
    assert masked({"x": value}) == {"x": f"{MASK} {words}"}


def test_whatever_is_deeper_than_events_are_is_cut_off() -> None:
    deep: Json = "secret"
    for _ in range(5_000):
        deep = [deep]
    assert "secret" not in str(masked(deep))

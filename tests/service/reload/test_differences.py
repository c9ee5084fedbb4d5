"""In which fields two requests differ: their places alone, and no key that an event may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.reload.differences import (
    differing_fields,
    plain_note,
)


def delivery(body: bytes, envelope: str = "one") -> PlannedDelivery:
    return PlannedDelivery("toy", "Greet", envelope, "Greeting", None, body)


DEEP = '{"a":' * 10 + "%d" + "}" * 10


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ('{"a":1}', '{"a":1}', set()),
        ('{"a":1,"b":2}', '{"b":2,"a":1}', set()),
        ('{"a":1}', '{"a":2}', {"a"}),
        ('{"a":1}', '{"a":true}', {"a"}),
        ('{"a":1}', '{"b":1}', {"a", "b"}),
        ('{"a":{"b":1,"c":2}}', '{"a":{"b":1,"c":3}}', {"a.c"}),
        ('{"a":{"b":{"c":1}}}', '{"a":{}}', {"a.b"}),
        ('{"a":[{"b":1},{"b":2}]}', '{"a":[{"b":1},{"b":3}]}', {"a.*.b"}),
        ('{"a":[1,2]}', '{"a":[1,3]}', {"a.*"}),
        ('{"a":[1]}', '{"a":[1,2]}', {"a"}),
        ('{"a":{}}', '{"a":[]}', {"a"}),
        ('{"lena@example.com":1}', '{"lena@example.com":2}', {"*"}),
        ('{"a":{"30 1234567":1}}', '{"a":{}}', {"a.*"}),
        (DEEP % 1, DEEP % 2, {"a.a.a.a.a.a"}),
        ("Ada", "Bob", {"body"}),
        ("[1]", "[2]", {"body"}),
    ],
)
def test_where_bodies_differ(before: str, after: str, fields: set[str]) -> None:
    assert differing_fields(delivery(before.encode()), delivery(after.encode())) == fields


def test_what_they_travel_in_counts_as_well() -> None:
    old, new = delivery(b"{}", '{"pixel":"A"}'), delivery(b"{}", '{"pixel":"B","test":"T"}')
    assert differing_fields(old, new) == {"pixel", "test"}
    assert differing_fields(delivery(b"{}"), delivery(b"{}", "two")) == {"body"}


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_any_bytes_can_be_compared(before: bytes, after: bytes) -> None:
    if before == after:
        assert not differing_fields(delivery(before), delivery(after))
    assert not differing_fields(delivery(before), delivery(before))


@pytest.mark.parametrize(
    ("field", "plain"),
    [("contents.0.price", "contents.*.price"), ("a.12", "a.*"), ("0", "0"), ("a1.b", "a1.b")],
)
def test_elements_are_not_told_apart(field: str, plain: str) -> None:
    assert plain_note(Note("toy", "Greet", field, "is odd")).field == plain

"""What an event of Segment's libraries is completed with, and what is left as it was sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.completion import Arrival, complete
from conversion_relay.core.decoding import Decoded, Unusable, decode
from conversion_relay.core.values import Json, JsonObject

RECEIVED = datetime(2026, 11, 20, 10, 0, 10, tzinfo=UTC)
ARRIVAL = Arrival(RECEIVED)
_RECEIVED_TEXT = "2026-11-20T10:00:10.000Z"


def _element(value: Json) -> Decoded:
    return Decoded(value, json.dumps(value))


def _completed(event: JsonObject, arrival: Arrival = ARRIVAL, fresh_id: str = "new") -> JsonObject:
    found = complete(_element({"type": "track", **event}), arrival, fresh_id)
    assert isinstance(found, Decoded)
    assert isinstance(found.value, dict)
    again = decode(found.text)
    assert isinstance(again, Decoded)
    assert repr(again.value) == repr(found.value), "what is kept is what was planned, in order"
    return found.value


@pytest.mark.parametrize(
    ("given_times", "timestamp"),
    [
        # The clock of the device may be wrong by any amount: only the age counts.
        (
            {"timestamp": "2026-11-20T10:00:00.250Z", "sentAt": "2026-11-20T10:00:05Z"},
            "10:00:05.250",
        ),
        ({"timestamp": "1970-01-02T00:00:00Z", "sentAt": "1970-01-02T00:00:03Z"}, "10:00:07.000"),
        ({"timestamp": "2099-01-02T00:00:00Z", "sentAt": "2099-01-02T00:00:03Z"}, "10:00:07.000"),
        (
            {"timestamp": "2026-11-20T11:59:58+02:00", "sentAt": "2026-11-20T10:00:00"},
            "10:00:08.000",
        ),
        ({"timestamp": "Fri, 20 Nov 2026 09:59:58 GMT", "sentAt": 1795168800}, "10:00:08.000"),
        ({"timestamp": 1795168798000, "sentAt": "1795168800"}, "10:00:08.000"),
        (
            {
                "originalTimestamp": "2026-11-20T10:00:01Z",
                "timestamp": "x",
                "sentAt": "2026-11-20T10:00:02Z",
            },
            "10:00:09.000",
        ),
        # Nothing happens after it was sent, nor after it came.
        ({"timestamp": "2026-11-20T12:00:00Z", "sentAt": "2026-11-20T10:00:00Z"}, "10:00:10.000"),
        ({"timestamp": "2026-11-20T10:00:00Z", "sentAt": "0001-01-01T00:00:00Z"}, "10:00:10.000"),
    ],
)
def test_the_clock_of_the_sender_is_corrected(given_times: JsonObject, timestamp: str) -> None:
    event = _completed(given_times)
    assert event["timestamp"] == f"2026-11-20T{timestamp}Z"
    assert event["originalTimestamp"] == given_times.get(
        "originalTimestamp", given_times["timestamp"]
    )
    assert event["sentAt"] == given_times["sentAt"]
    assert event["receivedAt"] == _RECEIVED_TEXT


@pytest.mark.parametrize(
    ("given_times", "timestamp"),
    [
        ({}, _RECEIVED_TEXT),
        ({"timestamp": None, "sentAt": "2026-11-20T10:00:00Z"}, _RECEIVED_TEXT),
        ({"timestamp": "2026-11-19T10:00:00+02:00"}, "2026-11-19T10:00:00+02:00"),
        ({"timestamp": 1795168798, "sentAt": "yesterday"}, 1795168798),
        ({"timestamp": "2012-12-02T00:30:08.276Z", "sentAt": {}}, "2012-12-02T00:30:08.276Z"),
        ({"timestamp": "no time"}, _RECEIVED_TEXT),
        ({"timestamp": [], "sentAt": "2026-11-20T10:00:00Z"}, _RECEIVED_TEXT),
        ({"timestamp": True}, _RECEIVED_TEXT),
        ({"timestamp": -1e300}, _RECEIVED_TEXT),
        # By that age it would have happened before there were such clocks.
        (
            {"timestamp": "2026-11-20T10:00:00Z", "sentAt": "9999-01-01T00:00:00Z"},
            "2026-11-20T10:00:00Z",
        ),
        (
            {"timestamp": "0001-01-01T00:00:00Z", "sentAt": "2026-11-20T10:00:00Z"},
            "0001-01-01T00:00:00Z",
        ),
    ],
)
def test_what_cannot_be_corrected_stands_or_is_now(
    given_times: JsonObject, timestamp: Json
) -> None:
    assert _completed(given_times)["timestamp"] == timestamp


def test_the_time_of_receipt_is_never_the_sender_s_to_say() -> None:
    assert _completed({"receivedAt": "2020-01-01T00:00:00Z"})["receivedAt"] == _RECEIVED_TEXT


@pytest.mark.parametrize(
    ("own", "shared", "whole"),
    [
        ({}, {"userId": "u", "context": {"a": 1}}, {"userId": "u", "context": {"a": 1}}),
        ({"userId": "own"}, {"userId": "u"}, {"userId": "own"}),
        ({"userId": None}, {"userId": "u"}, {"userId": "u"}),
        ({"context": {"a": 1, "page": {"url": "x"}}},
         {"context": {"a": 2, "b": 3, "page": {"title": "y"}}},
         {"context": {"a": 1, "b": 3, "page": {"url": "x"}}}),
        ({"integrations": {"All": True}}, {"integrations": {"All": False, "TikTok": True}},
         {"integrations": {"All": True, "TikTok": True}}),
        ({"context": "text"}, {"context": {"a": 1}}, {"context": "text"}),
        ({"context": [], "integrations": []},
         {"context": {"consent": {"categoryPreferences": {}}}, "integrations": {"All": False}},
         {"context": {"consent": {"categoryPreferences": {}}}, "integrations": {"All": False}}),
        ({"context": {"a": 1}}, {"context": ["b"]}, {"context": {"a": 1}}),
        ({}, {"messageId": "batch-7", "event": "X", "type": "page"}, {"messageId": "new"}),
        ({"writeKey": "secret"}, {}, {"writeKey": None}),
    ],
)  # fmt: skip
def test_what_the_batch_shares_is_a_default(
    own: JsonObject, shared: JsonObject, whole: JsonObject
) -> None:
    event = _completed(own, replace(ARRIVAL, shared=shared))
    assert {key: event.get(key) for key in whole} == whole
    assert event["type"] == "track"
    assert "event" not in event


def test_the_shared_sent_at_corrects_each_event() -> None:
    shared: JsonObject = {"sentAt": "2026-11-20T10:00:05Z"}
    event = _completed({"timestamp": "2026-11-20T10:00:00Z"}, replace(ARRIVAL, shared=shared))
    assert event["timestamp"] == "2026-11-20T10:00:05.000Z"


@pytest.mark.parametrize("sent", [{}, {"type": "page"}, {"type": 5}, {"type": ""}])
def test_the_path_says_the_type(sent: JsonObject) -> None:
    found = complete(_element(sent), replace(ARRIVAL, type="track"), "new")
    assert isinstance(found, Decoded)
    assert isinstance(found.value, dict)
    assert found.value["type"] == "track"


@pytest.mark.parametrize(
    "value", [3, None, "x", [], {}, {"type": None}, {"type": ""}, {"type": 1}]
)
def test_what_is_no_event_is_left_as_it_is(value: Json) -> None:
    element = _element(value)
    assert complete(element, ARRIVAL, "new") is element


_LONG = "m" * 101


@pytest.mark.parametrize(
    ("given_id", "expected"),
    [
        ("m-1", "m-1"),
        (17, "17"),
        ("m" * 100, "m" * 100),
        (None, "new"),
        ("", "new"),
        (True, "new"),
        (1.5, "new"),
        ({}, "new"),
    ],
)
def test_the_message_id(given_id: Json, expected: str) -> None:
    assert _completed({"messageId": given_id})["messageId"] == expected


def test_an_id_that_is_too_long_has_one_short_name() -> None:
    found = {_completed({"messageId": _LONG, "n": n})["messageId"] for n in range(2)}
    assert len(found) == 1
    assert all(isinstance(one, str) and len(one) <= 100 for one in found)


_TIMED: JsonObject = {"event": "Order Completed", "timestamp": "2026-11-20T10:00:00Z"}


@pytest.mark.parametrize(
    ("other", "is_copy"),
    [
        ({"sentAt": "2026-11-20T10:09:00Z"}, True),  # the library's next try
        ({"receivedAt": "2026-11-20T10:09:00Z"}, True),
        ({"messageId": None}, True),
        ({"writeKey": "key"}, True),
        ({"timestamp": "2026-11-20T10:00:00.001Z"}, False),
        ({"event": "Order Refunded"}, False),
        ({"properties": {}}, False),
    ],
)
def test_an_event_with_a_time_is_recognised_again(other: JsonObject, is_copy: bool) -> None:
    later = Arrival(RECEIVED + timedelta(minutes=9), visitor_ip="203.0.113.7")
    first = _completed(_TIMED, fresh_id="a")["messageId"]
    again = _completed({**_TIMED, **other}, later, fresh_id="b")["messageId"]
    assert isinstance(first, str)
    assert first.startswith("relay-")
    assert (first == again) is is_copy


def test_the_order_of_members_does_not_matter_to_the_id() -> None:
    backwards = dict(reversed(_TIMED.items()))
    assert _completed(_TIMED)["messageId"] == _completed(backwards)["messageId"]


def test_without_a_time_of_its_own_each_event_is_new() -> None:
    """Two clicks look alike: taken for one, the second would be lost."""
    shared = replace(ARRIVAL, shared={"timestamp": "2026-11-20T10:00:00Z"})
    assert _completed({"event": "X"}, shared, "a")["messageId"] == "a"
    assert _completed({"event": "X"}, shared, "b")["messageId"] == "b"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, {"ip": "203.0.113.7"}),
        ({}, {"ip": "203.0.113.7"}),
        ({"ip": None}, {"ip": "203.0.113.7"}),
        ({"ip": "", "a": 1}, {"ip": "203.0.113.7", "a": 1}),
        ({"ip": "198.51.100.1"}, {"ip": "198.51.100.1"}),
        ({"ip": "0.0.0.0"}, {"ip": "0.0.0.0"}),  # noqa: S104 - says: do not record it
        ("text", "text"),
    ],
)
def test_the_visitor_s_address(context: Json, expected: Json) -> None:
    there = replace(ARRIVAL, visitor_ip="203.0.113.7")
    assert _completed({"context": context}, there)["context"] == expected
    assert _completed({"context": context})["context"] == context


def test_nothing_that_was_given_is_changed() -> None:
    own: JsonObject = {"type": "track", "context": {"a": 1}}
    shared: JsonObject = {"context": {"b": 2}}
    complete(_element(own), Arrival(RECEIVED, shared, None, "203.0.113.7"), "new")
    assert (own, shared) == ({"type": "track", "context": {"a": 1}}, {"context": {"b": 2}})


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "-9223372036854775809"])
def test_big_integers_keep_their_digits(number: str) -> None:
    text = f'{{"type": "track", "properties": {{"id": {number}}}}}'
    found = complete(Decoded(json.loads(text), text), ARRIVAL, "new")
    assert isinstance(found, Decoded)
    assert number in found.text


@pytest.mark.parametrize("number", ["1e999", "-1E+0400", "9" * 400 + ".0"])
def test_a_number_beyond_all_floats_is_set_aside(number: str) -> None:
    text = f'{{"type": "track", "properties": {{"value": {number}}}}}'
    found = complete(Decoded(json.loads(text), text), ARRIVAL, "new")
    assert isinstance(found, Unusable)
    assert found.text == text
    assert number not in found.reason


@pytest.mark.parametrize("depth", [100, 300, 800])
def test_depth_is_no_fault(depth: int) -> None:
    text = '{"type": "track", "properties": {"a": ' + "[" * depth + "]" * depth + "}}"
    found = complete(Decoded(json.loads(text), text), ARRIVAL, "new")
    assert isinstance(found, Decoded | Unusable)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["ip", "a", "timestamp"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_MOMENTS = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | _JSON
_EVENTS = st.fixed_dictionaries(
    {"type": st.just("track")},
    optional={
        "messageId": _JSON, "timestamp": _MOMENTS, "originalTimestamp": _MOMENTS,
        "sentAt": _MOMENTS, "context": _JSON, "integrations": _JSON, "userId": _JSON,
        "receivedAt": _JSON, "writeKey": _JSON,
    },
)  # fmt: skip


@given(_EVENTS, _EVENTS)
def test_whatever_is_sent_the_envelope_is_whole(own: JsonObject, shared: JsonObject) -> None:
    event = _completed(own, Arrival(RECEIVED, shared, None, "203.0.113.7"))
    assert isinstance(event["messageId"], str)
    assert 0 < len(event["messageId"]) <= 100
    assert event["receivedAt"] == _RECEIVED_TEXT
    assert event["timestamp"] is not None
    assert "writeKey" not in event
    for key in own.keys() - {"messageId", "timestamp", "receivedAt", "writeKey", "context"}:
        if (
            own[key] not in (None, [])
            and not isinstance(own[key], dict)
            and key != "originalTimestamp"
        ):
            assert event[key] == own[key]


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001 - a draw
    st.timedeltas(timedelta(0), timedelta(days=365)),
)
def test_only_the_age_counts(clock: datetime, age: timedelta) -> None:
    """However wrong the device's clock is, the corrected time is the same."""
    sent = clock.replace(tzinfo=UTC)
    event = _completed({"timestamp": (sent - age).isoformat(), "sentAt": sent.isoformat()})
    corrected = datetime.fromisoformat(str(event["timestamp"]))
    assert abs(corrected - (RECEIVED - age)) < timedelta(milliseconds=1)

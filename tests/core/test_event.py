"""What is taken for an event, and what of it is kept."""

from __future__ import annotations

import pytest

from conversion_relay.core.event import MalformedEvent, SegmentEvent
from conversion_relay.core.values import Json, JsonObject


def parsed(payload: JsonObject) -> SegmentEvent:
    event = SegmentEvent.parse(payload)
    assert isinstance(event, SegmentEvent)
    return event


@pytest.mark.parametrize("payload", [None, [], "track", {}, {"type": ""}, {"type": 5}])
def test_no_event(payload: Json) -> None:
    assert isinstance(SegmentEvent.parse(payload), MalformedEvent)


@pytest.mark.parametrize(
    ("given", "message_id"), [("m-1", "m-1"), (7, "7"), ("", None), (True, None), (None, None)]
)
def test_message_ids(given: Json, message_id: str | None) -> None:
    assert parsed({"type": "track", "messageId": given}).message_id == message_id


@pytest.mark.parametrize("part", ["properties", "traits", "context", "integrations"])
@pytest.mark.parametrize("value", [0, 5, 1.5, True, False, "", "text"])
def test_a_part_that_is_a_plain_value_counts_as_absent(part: str, value: Json) -> None:
    assert parsed({"type": "track", part: value}).payload == {"type": "track"}


@pytest.mark.parametrize("value", [None, [], {}, [{"sku": "1"}], {"a": 0}])
def test_other_parts_are_kept(value: Json) -> None:
    payload: JsonObject = {"type": "track", "properties": value}
    assert parsed(payload).payload is payload

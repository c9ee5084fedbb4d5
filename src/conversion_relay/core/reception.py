"""From what was received to an event with the envelope that Segment always gives.

Values in, values out: the present and the limits are given. The same function serves the service
and `preview`, so that both see the same event.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import datetime

from conversion_relay.core.brackets import is_deeper
from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.event import MalformedEvent, SegmentEvent


@dataclass(frozen=True, slots=True)
class EventLimits:
    """What an event may be.

    Attributes:
        max_event_bytes: of its text.
        max_nesting: levels of brackets.
    """

    max_event_bytes: int = sys.maxsize
    max_nesting: int = 64


def received(
    element: Decoded | Unusable, original: bytes, limits: EventLimits, now: datetime
) -> SegmentEvent | MalformedEvent:
    """The event, with a messageId and when it was received, or why it is none.

    Args:
        element: of a request.
        original: its text.
        limits: what is beyond them is no event.
        now: aware; when it was received.
    """
    if len(original) > limits.max_event_bytes:
        return MalformedEvent(f"it is larger than {limits.max_event_bytes} bytes")
    if isinstance(element, Unusable):
        return MalformedEvent(f"it cannot be used: {element.reason}")
    if is_deeper(element.text, limits.max_nesting):
        return MalformedEvent(f"it is nested deeper than {limits.max_nesting} levels")
    event = SegmentEvent.parse(element.value)
    return event if isinstance(event, MalformedEvent) else _completed(event, original, now)


def content_id(original: bytes) -> str:
    """An id made from the content, so that a copy of the same request has the same."""
    return f"relay-{hashlib.sha256(original).hexdigest()[:40]}"


def _completed(event: SegmentEvent, original: bytes, now: datetime) -> SegmentEvent:
    if event.message_id is not None and "receivedAt" in event.payload:
        return event
    message_id = event.message_id or content_id(original)
    payload = {"receivedAt": now.isoformat(), **event.payload, "messageId": message_id}
    return SegmentEvent(payload, event.type, message_id)

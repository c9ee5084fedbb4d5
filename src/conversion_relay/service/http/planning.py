"""What is to be kept of one element of a request: the event with its plan, or its quarantine.

Knows no HTTP and no store; whatever an element is, something comes out that can be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS, MalformedEvent, SegmentEvent
from conversion_relay.core.plan import Target, plan
from conversion_relay.service.logs import Log
from conversion_relay.service.store.port import Disposition, NewEvent


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans one element after the other.

    Attributes:
        routes: the destinations of each source; events of a source that is no longer configured
            have none.
        max_event_bytes: what is larger goes into quarantine.
        clock: gives the present, aware.
        log: a fault of ours is written there.
    """

    routes: Mapping[str, Sequence[Target]]
    max_event_bytes: int
    clock: Callable[[], datetime]
    log: Log

    def plan(self, source: str, element: Decoded | Unusable) -> NewEvent:
        """The event with everything it leads to; what is no event goes into quarantine."""
        return self.plan_received(source, element, self.clock())

    def plan_received(self, source: str, element: Decoded | Unusable, now: datetime) -> NewEvent:
        """The same for an event that was received at that moment."""
        try:
            original = element.text.encode()
        except UnicodeEncodeError:
            original = element.text.encode(errors="surrogateescape")
            return _quarantined(source, original, now, "it is not UTF-8")
        try:
            event = self._event(element, original)
            if isinstance(event, MalformedEvent):
                return _quarantined(source, original, now, event.reason)
            return _planned(source, event, original, self.routes.get(source, ()), now)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost neither it nor others
            kind = type(error).__name__
            self.log.error("ingest.not_planned", source=source, kind=kind)
            return _quarantined(source, original, now, f"it could not be planned ({kind})")

    def _event(
        self, element: Decoded | Unusable, original: bytes
    ) -> SegmentEvent | MalformedEvent:
        if len(original) > self.max_event_bytes:
            return MalformedEvent(f"it is larger than {self.max_event_bytes} bytes")
        if isinstance(element, Unusable):
            return MalformedEvent(f"it cannot be read as JSON: {element.reason}")
        return SegmentEvent.parse(element.value)


def _planned(
    source: str, event: SegmentEvent, original: bytes, targets: Sequence[Target], now: datetime
) -> NewEvent:
    result = plan(_completed(event, original, now), targets, now)
    disposition = Disposition.PLANNED if result.deliveries else Disposition.REJECTED
    return NewEvent(
        source=source,
        message_id=_ledger_id(event, original),
        type=event.type,
        received_at=now,
        original=original,
        disposition=Disposition.UNMATCHED if result.unmatched else disposition,
        deliveries=result.deliveries,
        warnings=result.warnings,
        rejections=result.rejections,
    )


def _quarantined(source: str, original: bytes, now: datetime, reason: str) -> NewEvent:
    return NewEvent(
        source=source,
        message_id=_content_id(original),
        type="",
        received_at=now,
        original=original,
        disposition=Disposition.QUARANTINED,
        reason=reason,
    )


def _completed(event: SegmentEvent, original: bytes, now: datetime) -> SegmentEvent:
    """The event with the envelope Segment always gives: a messageId, and when it was received.

    The id is made from the content, so that a copy of the same request has the same.
    """
    if event.message_id is not None and "receivedAt" in event.payload:
        return event
    message_id = event.message_id or _content_id(original)
    payload = {"receivedAt": now.isoformat(), **event.payload, "messageId": message_id}
    return SegmentEvent(payload, event.type, message_id)


def _ledger_id(event: SegmentEvent, original: bytes) -> str:
    """By what a duplicate is recognised; an id longer than Segment allows is no good key."""
    known = event.message_id
    if known is None or len(known) > MAX_MESSAGE_ID_CHARACTERS:
        return _content_id(original)
    return known


def _content_id(original: bytes) -> str:
    return f"relay-{hashlib.sha256(original).hexdigest()[:40]}"

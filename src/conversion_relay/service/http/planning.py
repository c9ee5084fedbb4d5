"""What is to be kept of one element of a request: the event with its plan, or its quarantine.

Knows no HTTP and no store; whatever an element is, something comes out that can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS, MalformedEvent, SegmentEvent
from conversion_relay.core.match_keys import Lesson, Memory, subjects_of
from conversion_relay.core.plan import Plan, Target, plan
from conversion_relay.core.reception import EventLimits, content_id, received
from conversion_relay.service.logs import Log
from conversion_relay.service.remembering import learned_of
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.persons import key_counts
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
        remembers_for: how long match keys are remembered, of the sources that opted in.
        max_nesting: what has more levels of brackets goes into quarantine.
    """

    routes: Mapping[str, Sequence[Target]]
    max_event_bytes: int
    clock: Callable[[], datetime]
    log: Log
    remembers_for: Mapping[str, timedelta] = field(default_factory=dict)
    max_nesting: int = 64

    def plan(
        self, source: str, element: Decoded | Unusable, memory: Memory | None = None
    ) -> NewEvent:
        """The event with everything it leads to; what is no event goes into quarantine.

        What it teaches is in the memory from then on.
        """
        planned = self.plan_received(source, element, self.clock(), memory)
        if memory is not None and planned.learned:
            lessons = (Lesson(one.destination, one.keys) for one in planned.learned)
            memory.learn(planned.subjects, lessons)
        return planned

    def plan_received(
        self,
        source: str,
        element: Decoded | Unusable,
        now: datetime,
        memory: Memory | None = None,
    ) -> NewEvent:
        """The same for an event that was received at that moment; the memory is only read."""
        planned = self._plan_received(source, element, now, memory)
        if planned.disposition is Disposition.QUARANTINED and isinstance(element, Decoded):
            return replace(planned, subjects=subjects_of(element.value))
        return planned

    def _plan_received(
        self, source: str, element: Decoded | Unusable, now: datetime, memory: Memory | None
    ) -> NewEvent:
        limits = EventLimits(self.max_event_bytes, self.max_nesting)
        try:
            original = element.text.encode()
        except UnicodeEncodeError:
            original = element.text.encode(errors="surrogateescape")
            return _quarantined(source, original, now, "it is not UTF-8")
        try:
            event = received(element, original, limits, now)
            if isinstance(event, MalformedEvent):
                return _quarantined(source, original, now, event.reason)
            return self._planned(source, event, original, now, memory)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost neither it nor others
            kind = type(error).__name__
            self.log.error("ingest.not_planned", source=source, kind=kind)
            return _quarantined(source, original, now, f"it could not be planned ({kind})")

    def _planned(
        self,
        source: str,
        event: SegmentEvent,
        original: bytes,
        now: datetime,
        memory: Memory | None,
    ) -> NewEvent:
        targets, lasts = self.routes.get(source, ()), self.remembers_for.get(source)
        known = None if lasts is None else memory
        result = plan(event, targets, now, known)
        return NewEvent(
            source=source,
            message_id=_ledger_id(event, original),
            type=event.type,
            received_at=now,
            original=original,
            disposition=_disposition(result),
            deliveries=result.deliveries,
            warnings=result.warnings,
            rejections=result.rejections,
            suppressions=result.suppressions,
            subjects=subjects_of(event.payload),
            learned=() if lasts is None else learned_of(result.lessons, now + lasts),
            key_counts=() if source == CANARY_SOURCE else key_counts(result.deliveries),
        )


def _disposition(result: Plan) -> Disposition:
    """What is to be sent says most of an event, then what somebody has to mend."""
    if result.deliveries:
        return Disposition.PLANNED
    if result.rejections:
        return Disposition.REJECTED
    return Disposition.SUPPRESSED if result.suppressions else Disposition.UNMATCHED


def _quarantined(source: str, original: bytes, now: datetime, reason: str) -> NewEvent:
    return NewEvent(
        source=source,
        message_id=content_id(original),
        type="",
        received_at=now,
        original=original,
        disposition=Disposition.QUARANTINED,
        reason=reason,
    )


def _ledger_id(event: SegmentEvent, original: bytes) -> str:
    """By what a duplicate is recognised; an id longer than Segment allows is no good key."""
    known = event.message_id
    if known is None or len(known) > MAX_MESSAGE_ID_CHARACTERS:
        return content_id(original)
    return known

"""What goes into a store and comes out of it: plain values. Knows no database and no method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from conversion_relay.core.delivery import State, Transition
from conversion_relay.core.lane import Condition
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.store.persons import KeyCount, Learned

PROBE_REST: Final = timedelta(minutes=1)
"""So long one whose outcome is unknown is no probe again, unless there is no other."""


class Disposition(Enum):
    """What became of an event at the door."""

    PLANNED = "planned"  # at least one delivery
    UNMATCHED = "unmatched"  # no trigger matched
    REJECTED = "rejected"  # a trigger matched, but nothing could be built
    QUARANTINED = "quarantined"  # the payload is no event
    SUPPRESSED = "suppressed"  # a trigger matched, but the event itself says not to send it


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One received event with everything it leads to.

    Attributes:
        source: the configured source it came from.
        message_id: with `source` the key of the ledger of duplicates.
        type: of the event, "" in quarantine; one that is not Segment's is kept as "other".
        received_at: aware.
        original: the bytes as they came, JSON unless in quarantine; the store seals them.
        disposition: what became of it.
        deliveries: what is to be sent.
        warnings: what was left out of it or replaced.
        rejections: why mappings gave nothing.
        reason: why it is in quarantine.
        suppressions: which mappings were not asked, because the event itself says so.
        subjects: its userId and anonymousId, by which it is found when its user is forgotten; kept
            as keyed hashes only.
        learned: what is remembered for each of the subjects.
        key_counts: which match keys its deliveries carry, for the report.
    """

    source: str
    message_id: str
    type: str
    received_at: datetime
    original: bytes = field(repr=False)
    disposition: Disposition
    deliveries: tuple[PlannedDelivery, ...] = ()
    warnings: tuple[Note, ...] = ()
    rejections: tuple[Note, ...] = ()
    reason: str | None = None
    suppressions: tuple[Note, ...] = ()
    subjects: tuple[str, ...] = field(default=(), repr=False)
    learned: tuple[Learned, ...] = ()
    key_counts: tuple[KeyCount, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `append` kept: for each event, in order, whether it was new (else a duplicate)."""

    fresh: tuple[bool, ...]

    @property
    def accepted(self) -> int:
        """How many were new."""
        return sum(self.fresh)

    @property
    def duplicates(self) -> int:
        """How many the ledger knew already."""
        return len(self.fresh) - self.accepted


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours until the lease ends.

    Attributes:
        id: of the delivery.
        fence: of this claim; a settlement with an older fence changes nothing.
        event_id: by which the partner recognises a copy; of more than 100 characters, a hash.
        attempts: sends including the one this claim is for; 1 the first time.
        accepted_at: when the service took the event on.
        first_unknown_at: the first send whose outcome is unknown, a lease that ran out included.
        source: where its event came from.
    """

    id: int
    fence: int
    destination: str
    mapping: str
    message_id: str
    envelope: str
    event_name: str
    event_id: str | None
    body: bytes = field(repr=False)
    attempts: int
    accepted_at: datetime
    first_unknown_at: datetime | None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one claim."""

    id: int
    fence: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as reports show it: no body, no personal data.

    Attributes:
        id: of the delivery.
        accepted_at: when the service took it on, or took it up again.
        settled_at: when its last attempt ended; None before the first.
    """

    id: int
    message_id: str
    destination: str
    mapping: str
    event_name: str
    state: State
    attempts: int
    reason: str | None
    accepted_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """How a lane is, as it is kept over a restart.

    Attributes:
        destination: whose lane it is.
        credential: a fingerprint of the credential it was seen with.
        since: when it got into its condition; None of a lane that never left FLOWING.
        reason: the partner's or the wire's words.
    """

    destination: str
    credential: str
    condition: Condition
    since: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is finished is kept.

    An event with a delivery that is pending, claimed or held is never removed.

    Attributes:
        events: an event whose deliveries are all delivered, or that was rejected, suppressed at
            the door or put into quarantine.
        unmatched: one that no trigger matched.
        dead_letters: one with a delivery that is dead, uncertain or suppressed, counted from its
            end; what was suppressed can still be replayed until then.
        ledger: how long an event's messageId is recognised, at least; never less than `events`.
    """

    events: timedelta = timedelta(days=7)
    unmatched: timedelta = timedelta(hours=24)
    dead_letters: timedelta = timedelta(days=30)
    ledger: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one step of cleaning did.

    Attributes:
        events: removed, with their originals and deliveries.
        ledger_entries: forgotten.
        freed_bytes: given back to the file system.
        is_done: nothing more is to be done at present.
    """

    events: int = 0
    ledger_entries: int = 0
    freed_bytes: int = 0
    is_done: bool = True

    def then(self, step: Swept) -> Swept:
        """Both together; nothing more is to be done when that is so after the later one."""
        return Swept(
            self.events + step.events,
            self.ledger_entries + step.ledger_entries,
            self.freed_bytes + step.freed_bytes,
            step.is_done,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What waits to be written, and how often something was.

    Attributes:
        waiting_events: given to `append`, and not committed yet.
        waiting_bytes: the size of their originals.
        commits: since the store was opened.
    """

    waiting_events: int
    waiting_bytes: int
    commits: int


@dataclass(frozen=True, slots=True)
class Totals:
    """How much the store holds: events by disposition, deliveries by (destination, state).

    What is not there counts 0.
    """

    events: Mapping[Disposition, int]
    deliveries: Mapping[tuple[str, State], int]

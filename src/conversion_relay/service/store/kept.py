"""What operators select of what is kept, and have sent again. Knows no database."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from conversion_relay.core.delivery import State
from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.store.values import DeliveryRecord, Disposition


def kept_event_id(given: str | None) -> str | None:
    """An `event_id` as it is kept: what is too long for an id is kept as its hash."""
    if given is None or len(given) <= MAX_MESSAGE_ID_CHARACTERS:
        return given
    return "sha256:" + hashlib.sha256(given.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which kept events are meant; every condition that is given has to hold.

    The service's own test events (CANARY_SOURCE) are not meant by what they became of alone.

    Attributes:
        states: at least one delivery is in one of these; with `dispositions`, either suffices,
            and with neither every event is meant.
        dispositions: what became of the event at the door; SUPPRESSED means every event from which
            a filter kept a mapping, whatever others made of it.
        since: received at this moment or later.
        until: received before this moment.
        destination: that delivery is for this destination; says nothing about an event that is
            meant for its disposition.
        mapping: that delivery was made by this mapping; the same.
        message_ids: one of these; empty: any.
    """

    states: frozenset[State] = frozenset()
    dispositions: frozenset[Disposition] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    mapping: str | None = None
    message_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeptDelivery:
    """A delivery with what decides whether another would be a copy of it.

    Attributes:
        record: as reports show it.
        envelope: what it travels in.
        event_id: by which the partner recognises a copy; see `kept_event_id`.
        first_unknown_at: the first send whose outcome is unknown.
    """

    record: DeliveryRecord
    envelope: str
    event_id: str | None
    first_unknown_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as it is kept, with all its deliveries.

    Attributes:
        id: of the event; ids grow with time.
        original: the bytes as they came; None when they are gone or cannot be opened.
        deliveries: all of them, the selected and the others, oldest first.
        suppressions: which mappings were not asked, because the event itself says so.
    """

    id: int
    source: str
    message_id: str
    type: str
    received_at: datetime
    disposition: Disposition
    reason: str | None
    rejections: tuple[Note, ...]
    deliveries: tuple[KeptDelivery, ...]
    original: bytes | None = field(repr=False)
    suppressions: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some selected events, in order of their ids.

    Attributes:
        after: where the next page begins; None when this was the last.
        share: how much of what there is was looked through by now, from 0 to 1.
    """

    events: tuple[KeptEvent, ...]
    after: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Requeue:
    """Send a kept delivery again, or for the first time.

    Attributes:
        event: its id.
        replaced: the delivery it takes the place of, as it was seen; None for a new one.
        planned: what is to be sent; None sends the stored body as it is (needs `replaced`).
        message_id: under which the event is known from now on as well, if it was kept under
            another (one in quarantine is, whatever it holds).
    """

    event: int
    replaced: DeliveryRecord | None
    planned: PlannedDelivery | None = None
    message_id: str | None = None

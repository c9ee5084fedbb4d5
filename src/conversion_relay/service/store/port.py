"""What the service needs of a store. Knows no database.

Every method that returns has committed: `append` and `settle` come back only after the data is on
the disk (fsync), whatever engine stands behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from conversion_relay.core.delivery import State, Transition
from conversion_relay.core.plan import Note, PlannedDelivery


class Disposition(Enum):
    """What became of an event at the door."""

    PLANNED = "planned"  # at least one delivery
    UNMATCHED = "unmatched"  # no trigger matched
    REJECTED = "rejected"  # a trigger matched, but nothing could be built
    QUARANTINED = "quarantined"  # the payload is no event


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


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one claim."""

    id: int
    fence: int
    transition: Transition


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as reports show it: no body, no personal data."""

    message_id: str
    destination: str
    mapping: str
    event_name: str
    state: State
    attempts: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """How much the store holds: events by disposition, deliveries by (destination, state).

    What is not there counts 0.
    """

    events: Mapping[Disposition, int]
    deliveries: Mapping[tuple[str, State], int]


class Store(Protocol):
    """Keeps events, deliveries and the ledger of messageIds. Safe to call from many tasks.

    Every method raises StoreUnavailable when nothing can be read or written, when the store meets
    a fault of its own, or after `close`; nothing else but what it names itself.
    """

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keep the events, all or none; those the ledger knows change nothing.

        Two events with one key in the same call: the first is kept, the second is a duplicate.

        Raises:
            StoreBusy: too many events wait for the disk already; try again in a moment.
        """
        ...

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether an append of so many events, with originals of this size, would be let in now.

        A guess for those who would work for nothing: `append` may still refuse.
        """
        ...

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Up to `limit` due deliveries, oldest due first, all of one envelope, leased to us.

        The delivery that has been due longest decides the envelope. One whose lease ran out is due
        again, and its earlier send counts as one whose outcome is unknown. One that cannot be read
        ends as DEAD and is not given.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], now: datetime) -> int:
        """Record how claims ended; gives how many were still ours.

        A delivery keeps the first `first_unknown_at` it was given.

        Raises:
            ValueError: a transition to CLAIMED, or with a due time that does not fit its state.
        """
        ...

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        ...

    def trouble(self) -> str | None:
        """Why nothing could be written last time; None once something could."""
        ...

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        ...

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""
        ...

    async def close(self) -> None:
        """Finish what was queued, then let go of the database."""
        ...

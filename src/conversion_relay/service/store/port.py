"""What the service needs of a store. Knows no database.

Every method that returns has committed: `append` and `settle` come back only after the data is on
the disk (fsync), whatever engine stands behind them. For claims and their ends there is one
exception, while a disk fails; see Store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Protocol

from conversion_relay.service.store.cluster import Cluster
from conversion_relay.service.store.history import History, RequestRecord
from conversion_relay.service.store.kept import (
    EventPage,
    KeptDelivery,
    KeptEvent,
    Requeue,
    Selection,
    kept_event_id,
)
from conversion_relay.service.store.persons import (
    Forgotten,
    KeyCount,
    KeyCounted,
    Learned,
)
from conversion_relay.service.store.values import (
    PROBE_REST,
    ClaimedDelivery,
    DeliveryRecord,
    Disposition,
    LaneRecord,
    Load,
    NewEvent,
    Receipt,
    Retention,
    Settlement,
    Swept,
    Totals,
)

__all__ = [
    "PROBE_REST",
    "ClaimedDelivery",
    "Cluster",
    "DeliveryRecord",
    "Disposition",
    "EventPage",
    "Forgotten",
    "History",
    "KeptDelivery",
    "KeptEvent",
    "KeyCount",
    "KeyCounted",
    "LaneRecord",
    "Learned",
    "Load",
    "NewEvent",
    "Receipt",
    "RequestRecord",
    "Requeue",
    "Retention",
    "Selection",
    "Settlement",
    "Store",
    "Swept",
    "Totals",
    "kept_event_id",
]


class Store(Protocol):
    """Keeps events, deliveries and the ledger of messageIds. Safe to call from many tasks.

    Of a store that one process owns: while the disk can be read and not written, `append` fails,
    but claims are given and their ends kept in memory, to be written before anything else once
    that is possible; `release` and `keep_lane` are done then. What is read of the store meanwhile
    may lag behind. With several nodes nothing is claimed that the others would not see.

    Every method raises StoreUnavailable when nothing can be read or written, when the store meets
    a fault of its own, or after `close`; nothing else but what it names itself.
    """

    @property
    def history(self) -> History:
        """What is kept besides events: requests, counts, alerts, configurations."""
        ...

    @property
    def cluster(self) -> Cluster | None:
        """What the nodes over this database share; None: one process owns it."""
        ...

    @property
    def load(self) -> Load:
        """What waits to be written now."""
        ...

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

    async def settle(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None = None,
    ) -> int:
        """Record how claims ended; gives how many were still ours.

        A delivery keeps the first `first_unknown_at` it was given. The request in which they
        travelled is kept with them, where there was one.

        Raises:
            ValueError: a transition to CLAIMED, or with a due time that does not fit its state.
        """
        ...

    async def claim_probe(
        self, destination: str, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """One delivery for a lane that does not flow, leased to us; empty when there is none.

        One whose earlier outcome is unknown is taken first (so that a long outage does not make
        many of them), unless it was tried within PROBE_REST: one that the partner never answers
        must not stand for all the others. Then the one that has been due longest, and at last a
        held one, the one that was tried longest ago. The attempt is not counted.
        """
        ...

    async def release(self, destination: str, now: datetime) -> int:
        """Make what is held of this destination pending and due; gives how many there were."""
        ...

    async def keep_lane(self, lane: LaneRecord) -> None:
        """Remember how the destination's lane is."""
        ...

    async def lanes(self) -> tuple[LaneRecord, ...]:
        """How the lanes were when they were kept last."""
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

    async def sweep(self, retention: Retention, now: datetime) -> Swept:
        """One short step of removing what is too old and giving space back.

        What a clock that was set back would leave waiting is made due before anything else.

        To be called again until it is done. No step keeps new events waiting for more than a
        fraction of a second.
        """
        ...

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`.

        A page looks at a bounded number of events, so it may be empty without being the last; and
        it ends early once its originals are large (some MiB).
        """
        ...

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie, for `select`.

        The service's own test events (CANARY_SOURCE) lie among them, and do not count.
        """
        ...

    async def body(self, delivery: int) -> bytes | None:
        """What this delivery would send; None once it is delivered, gone or cannot be opened."""
        ...

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        """Make these deliveries pending and due, with a new count of attempts and a new horizon.

        Says of each, in order, whether that was done. It was not for a delivery that is no longer
        as it was seen, for a new one whose like (same mapping, or same conversion) is there by
        now, and for an event whose `message_id` is another event's. The time of a send whose
        outcome is unknown is forgotten for what was UNCERTAIN only: a person decided about that.
        """
        ...

    async def known(self, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
        """For each (source, messageId), in order, the event it belongs to, which may be gone."""
        ...

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        """Suppress what is dead, uncertain or held among these; gives which that were."""
        ...

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By subject and destination, the match keys by kind; who has none is left out.

        What has expired is not given. What an event taught is there once `append` came back.
        """
        ...

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """Erase what is kept of users; gives what that was, nothing the second time.

        Of every event whose userId or anonymousId is exactly one of these: the event, its original
        and its deliveries, whatever their state; and the match keys remembered for these ids. The
        ledger keeps the messageIds, so that a copy is still recognised. Nothing that asks the
        database, of this node or another, finds any of it once this comes back. An engine that
        owns its files has overwritten the bytes by then; a server keeps them, sealed, until it
        uses their room again. A delivery that a worker has at this moment may still arrive. Many
        users cost little more than one.

        Nobody waits long for it: it is done in steps. If it fails or is cut off in the middle,
        what was done so far stays done, and it can be called again.

        Args:
            users: userIds or anonymousIds.
            source: whose events alone are meant; None: those of all sources.
            now: the present, aware.
        """
        ...

    async def forgettable(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase now; changes nothing."""
        ...

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """The match keys counted on these days (UTC, both included), oldest day first."""
        ...

    async def close(self) -> None:
        """Finish what was queued, then let go of the database."""
        ...

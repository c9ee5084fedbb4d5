"""A store that passes everything on to another one. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta

from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Cluster,
    DeliveryRecord,
    EventPage,
    Forgotten,
    History,
    KeyCounted,
    LaneRecord,
    RequestRecord,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Store,
    Swept,
    Totals,
)


class Through:
    """Everything of the port `Store` but what a subclass does in its own way."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def history(self) -> History:
        """What is kept besides events."""
        return self._store.history

    @property
    def cluster(self) -> Cluster | None:
        """What the nodes over the database share."""
        return self._store.cluster

    def trouble(self) -> str | None:
        """Why nothing could be written last time; None once something could."""
        return self._store.trouble()

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Up to `limit` due deliveries, oldest due first, all of one envelope, leased to us."""
        return await self._store.claim(destination, limit, lease, now)

    async def claim_probe(
        self, destination: str, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """One delivery for a lane that does not flow, leased to us; empty when there is none."""
        return await self._store.claim_probe(destination, lease, now)

    async def settle(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None = None,
    ) -> int:
        """Record how claims ended; gives how many were still ours."""
        return await self._store.settle(settlements, now, request)

    async def release(self, destination: str, now: datetime) -> int:
        """Make what is held of this destination pending and due; gives how many there were."""
        return await self._store.release(destination, now)

    async def keep_lane(self, lane: LaneRecord) -> None:
        """Remember how the destination's lane is."""
        await self._store.keep_lane(lane)

    async def lanes(self) -> tuple[LaneRecord, ...]:
        """How the lanes were when they were kept last."""
        return await self._store.lanes()

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        return await self._store.next_due(destination)

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        return await self._store.totals()

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""
        return await self._store.deliveries(message_ids)

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`."""
        return await self._store.select(selection, after, limit)

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie."""
        return await self._store.before_newest(count)

    async def body(self, delivery: int) -> bytes | None:
        """What this delivery would send, if it is there and can be opened."""
        return await self._store.body(delivery)

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        """Make these deliveries pending and due; says of each whether that was done."""
        return await self._store.requeue(requeues, now)

    async def known(self, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
        """For each (source, messageId), in order, the event it belongs to, which may be gone."""
        return await self._store.known(keys)

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        """Suppress what is dead, uncertain or held among these; gives which that were."""
        return await self._store.discard(deliveries, reason, now)

    async def forgettable(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase now."""
        return await self._store.forgettable(users, source, now)

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """The match keys counted on these days, oldest day first."""
        return await self._store.key_report(since_day, until_day)

    async def sweep(self, retention: Retention, now: datetime) -> Swept:
        """One short step of removing what is too old and giving space back."""
        return await self._store.sweep(retention, now)

"""The store of several nodes over one PostgreSQL database. Knows no clock.

The rules of the port stand in the queries; this module only says which part does what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta

from conversion_relay.service.store.port import (
    ClaimedDelivery,
    DeliveryRecord,
    EventPage,
    Forgotten,
    KeyCounted,
    LaneRecord,
    Load,
    NewEvent,
    Receipt,
    RequestRecord,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Swept,
    Totals,
)
from conversion_relay.service.store.postgres.claiming import Claiming
from conversion_relay.service.store.postgres.cluster import PostgresCluster
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.forgetting import Forgetting
from conversion_relay.service.store.postgres.heads import Heads
from conversion_relay.service.store.postgres.history import PostgresHistory
from conversion_relay.service.store.postgres.memory import Memory
from conversion_relay.service.store.postgres.records import Records
from conversion_relay.service.store.postgres.replaying import Replaying
from conversion_relay.service.store.postgres.selecting import Selecting
from conversion_relay.service.store.postgres.sweeping import Sweeping
from conversion_relay.service.store.postgres.writer import Writer
from conversion_relay.service.store.times import to_microseconds


class PostgresStore:
    """Implements the port `Store`; made by `open_store`."""

    def __init__(self, database: Database, writer: Writer, memory: Memory) -> None:
        self._database = database
        self._writer = writer
        self._memory = memory
        self._heads = Heads(database.hot)
        self._claiming = Claiming(database, self._heads)
        self._records = Records(database)
        self._selecting = Selecting(database)
        self._replaying = Replaying(database, writer.ingest, memory)
        self._forgetting = Forgetting(database, memory)
        self._sweeping = Sweeping(database, memory)
        self._history = PostgresHistory(database)
        self._cluster = PostgresCluster(database)

    @property
    def history(self) -> PostgresHistory:
        """What is kept besides events: requests, counts, alerts, configurations."""
        return self._history

    @property
    def cluster(self) -> PostgresCluster:
        """What the nodes over this database share."""
        return self._cluster

    @property
    def load(self) -> Load:
        """What waits to be written by this node, and its commits so far."""
        return self._writer.load

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether an append of so many events and bytes of originals would be let in now."""
        return self._writer.has_room(events, size_bytes)

    def trouble(self) -> str | None:
        """Why nothing could be written last time; None once something could."""
        return self._database.hot.trouble

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keep the events, all or none; those the ledger knows change nothing.

        Raises:
            StoreBusy: too many events wait for the database already.
            StoreUnavailable: nothing was kept, as far as it is known.
        """
        receipt = await self._writer.append(tuple(events))
        if events:
            self._heads.lower(min(to_microseconds(event.received_at) for event in events))
        return receipt

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Up to `limit` due deliveries, oldest due first, all of one envelope, leased to us."""
        return await self._claiming.claim(destination, limit, lease, now)

    async def claim_probe(
        self, destination: str, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """One delivery for a lane that does not flow, leased to us; empty when there is none."""
        return await self._claiming.claim_probe(destination, lease, now)

    async def settle(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None = None,
    ) -> int:
        """Record how claims ended; gives how many were still ours.

        A caller that is cancelled meanwhile does not stop it: what is known must not be forgotten.

        Raises:
            ValueError: a transition that is none.
        """
        return await asyncio.shield(self._claiming.settle(settlements, now, request))

    async def release(self, destination: str, now: datetime) -> int:
        """Make what is held of this destination pending and due; gives how many there were."""
        return await self._claiming.release(destination, now)

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        return await self._claiming.next_due(destination)

    async def keep_lane(self, lane: LaneRecord) -> None:
        """Remember how the destination's lane is."""
        await self._records.keep_lane(lane)

    async def lanes(self) -> tuple[LaneRecord, ...]:
        """How the lanes were when they were kept last."""
        return await self._records.lanes()

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        return await self._records.totals()

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""
        return await self._records.deliveries(message_ids)

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`."""
        return await self._selecting.select(selection, after, limit)

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie."""
        return await self._selecting.before_newest(count)

    async def body(self, delivery: int) -> bytes | None:
        """What this delivery would send, if it is there and can be opened."""
        return await self._selecting.body(delivery)

    async def known(self, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
        """For each (source, messageId), in order, the event it belongs to, which may be gone."""
        return await self._selecting.known(keys)

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        """Make these deliveries pending and due; says of each whether that was done."""
        done = await asyncio.shield(self._replaying.requeue(requeues, now))
        self._heads.lower(to_microseconds(now))
        return done

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        """Suppress what is dead, uncertain or held among these; gives which that were."""
        return await asyncio.shield(self._replaying.discard(deliveries, reason, now))

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By subject and destination, the match keys by kind."""
        return await self._memory.remembered(source, subjects, now)

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """Erase what is kept of users, step by step; gives what that was."""
        return await self._forgetting.forget(users, source, now)

    async def forgettable(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase now."""
        return await self._forgetting.forgettable(users, source, now)

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """The match keys counted on these days, oldest day first."""
        return await self._memory.key_report(since_day, until_day)

    async def sweep(self, retention: Retention, now: datetime) -> Swept:
        """One short step of removing what is too old and giving space back."""
        swept = await self._sweeping.step(retention, now)
        self._heads.lower(to_microseconds(now))  # what a clock that was set back left waiting
        return swept

    async def close(self) -> None:
        """Finish what was queued, then let go of the database."""
        await self._writer.close()
        await self._cluster.close()
        await self._database.close()

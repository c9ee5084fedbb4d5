"""The store of one process: a writing thread, a reading thread, one file. Knows no clock.

The rules of the port stand in the queries; this module only says which thread runs which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from functools import partial

import apsw

from conversion_relay.service.store.embedded.connection import unavailable
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
from conversion_relay.service.store.sqlite import claims, memory, records, selecting
from conversion_relay.service.store.sqlite.database import Database
from conversion_relay.service.store.sqlite.forgetting import Forgetting
from conversion_relay.service.store.sqlite.groups import Result, Work
from conversion_relay.service.store.sqlite.history import SqliteHistory
from conversion_relay.service.store.sqlite.memory import Memory
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.replaying import Replaying, discard
from conversion_relay.service.store.sqlite.requests import KeptRequest
from conversion_relay.service.store.sqlite.sweeping import Sweeping
from conversion_relay.service.store.sqlite.writer import Writer


class SqliteStore:
    """Implements the port `Store`; made by `open_store`, used from the loop it was opened in."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        reader: Reader,
        memory: Memory,
        replaying: Replaying,
        history: SqliteHistory,
    ) -> None:
        self._database = database
        self._writer = writer
        self._reader = reader
        self._memory = memory
        self._sealer = memory.sealer
        self._sweeping = Sweeping(writer, reader, memory.sealer)
        self._forgetting = Forgetting(writer, reader, memory, history.turn)
        self._replaying = replaying
        self._history = history
        self._closing: asyncio.Future[None] | None = None

    @property
    def history(self) -> SqliteHistory:
        """What is kept besides events: requests, counts, alerts, configurations."""
        return self._history

    @property
    def cluster(self) -> None:
        """One process owns the file."""
        return None

    @property
    def load(self) -> Load:
        """What waits for the disk, and the commits so far."""
        return self._writer.load

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keep the events, all or none; those the ledger knows change nothing.

        Raises:
            StoreBusy: too many events wait for the disk already.
            StoreUnavailable: nothing was kept.
        """
        return await self._writer.append(tuple(events))

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether an append of so many events and bytes of originals would be let in now."""
        return self._writer.has_room(events, size_bytes)

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Up to `limit` due deliveries, oldest due first, all of one envelope, leased to us."""
        if limit < 1:
            return ()
        return await self._claim(claims.Batch(destination, limit), lease, now)

    async def claim_probe(
        self, destination: str, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """One delivery for a lane that does not flow, leased to us; empty when there is none."""
        return await self._claim(claims.Probe(destination), lease, now)

    async def _claim(
        self, wish: claims.Wish, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        found = await self._writer.call(
            partial(claims.claim, wish=wish, lease=lease, now=now),
            partial(self._database.standby.claim, wish=wish, lease=lease, now=now),
        )
        if found is None:
            return ()
        opened, damaged = await self._reader.run(lambda _: claims.open_claims(found, self._sealer))
        if damaged:
            await self.settle(damaged, now)
        return opened

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
        try:
            rows = claims.settlement_rows(settlements)
        except TypeError as error:
            raise unavailable(error) from error
        kept = None if request is None else KeptRequest.of(request)
        recorded = self._writer.call(
            partial(claims.settle, rows=rows, now=now, request=kept),
            partial(self._database.standby.settle, rows=rows, now=now, request=kept),
        )
        return await asyncio.shield(recorded)

    async def release(self, destination: str, now: datetime) -> int:
        """Make what is held of this destination pending and due; gives how many there were."""
        work = partial(claims.release, destination=destination, now=now)
        later = self._later(work, f"release {destination}", 0)
        return await asyncio.shield(self._writer.call(work, later))

    async def keep_lane(self, lane: LaneRecord) -> None:
        """Remember how the destination's lane is."""
        work = partial(records.keep_lane, lane=lane)
        later = self._later(work, f"lane {lane.destination}", None)
        await asyncio.shield(self._writer.call(work, later))

    def _later(self, work: Work[Result], key: str, meanwhile: Result) -> Work[Result]:
        """Keeps the work for the time when something can be written."""

        def instead(_: apsw.Connection) -> Result:
            self._database.standby.put_off(key, work)
            return meanwhile

        return instead

    async def lanes(self) -> tuple[LaneRecord, ...]:
        """How the lanes were when they were kept last."""
        return await self._reader.run(records.lanes)

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        kept_back = self._database.standby.kept_back
        asked = partial(records.next_due, destination=destination, kept_back=kept_back)
        return await self._reader.run(asked)

    def trouble(self) -> str | None:
        """Why nothing could be written last time; None once something could."""
        return self._writer.trouble

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        return await self._reader.run(records.totals)

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""
        return await self._reader.run(partial(records.deliveries_of, message_ids=message_ids))

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`."""
        ask = partial(selecting.select, selection=selection, after=after, limit=limit)
        return await self._reader.run(partial(ask, sealer=self._sealer))

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie."""
        return await self._reader.run(partial(selecting.before_newest, count=count))

    async def body(self, delivery: int) -> bytes | None:
        """What this delivery would send, if it is there and can be opened."""
        ask = partial(selecting.body, sealer=self._sealer, delivery=delivery)
        return await self._reader.run(ask)

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        """Make these deliveries pending and due; says of each whether that was done."""
        work = partial(self._replaying.requeue, requeues=requeues, now=now)
        return await asyncio.shield(self._writer.call(work))

    async def known(self, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
        """For each (source, messageId), in order, the event it belongs to, which may be gone."""
        return await self._reader.run(partial(selecting.known, keys=keys))

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        """Suppress what is dead, uncertain or held among these; gives which that were."""
        work = partial(discard, deliveries=deliveries, reason=reason, now=now)
        return await asyncio.shield(self._writer.call(work))

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By subject and destination, the match keys by kind."""
        ask = partial(self._memory.remembered, source=source, subjects=subjects, now=now)
        return await self._reader.run(ask)

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """Erase what is kept of users, step by step; gives what that was."""
        return await self._forgetting.forget(users, source, now)

    async def forgettable(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase now."""
        return await self._forgetting.count(users, source, now)

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """The match keys counted on these days, oldest day first."""
        ask = partial(memory.key_report, since=since_day, until=until_day)
        return await self._reader.run(ask)

    async def sweep(self, retention: Retention, now: datetime) -> Swept:
        """One short step of removing what is too old and giving space back."""
        return await self._sweeping.step(retention, now)

    async def close(self) -> None:
        """Finish what was queued, then let go of the database."""
        if self._closing is None:
            self._reader.refuse()
            self._history.reader.refuse()
            loop = asyncio.get_running_loop()
            self._closing = loop.run_in_executor(None, self._close)
        await asyncio.shield(self._closing)

    def _close(self) -> None:
        """Readers first: a snapshot would keep the log from being taken in whole."""
        self._writer.stop()
        self._reader.stop()
        self._history.reader.stop()
        self._database.close()

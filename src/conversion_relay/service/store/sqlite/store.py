"""The store of one process: a writing thread, a reading thread, one file. Knows no clock.

The rules of the port stand in the queries; this module only says which thread runs which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    DeliveryRecord,
    Disposition,
    NewEvent,
    Receipt,
    Settlement,
    Totals,
)
from conversion_relay.service.store.sqlite import claims
from conversion_relay.service.store.sqlite.connection import unavailable
from conversion_relay.service.store.sqlite.ownership import Ownership
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.standing import Standing
from conversion_relay.service.store.sqlite.times import nearest_moment
from conversion_relay.service.store.sqlite.writer import Load, Writer


@dataclass(frozen=True, slots=True)
class Database:
    """An owned, open database.

    Attributes:
        ownership: held until the end.
        writing: used by the writer's thread alone while that runs.
        reading: the same for the reader's, which closes it.
        standing: where the files were when it was opened.
    """

    ownership: Ownership
    writing: apsw.Connection
    reading: apsw.Connection
    standing: Standing

    def close(self) -> None:
        """Take the log into the database and let go of it; the readers are gone by now.

        Raises:
            StoreUnavailable: that failed, or the files stand elsewhere; let go of all the same.
        """
        try:
            self._finish()
        except (apsw.Error, StoreUnavailable) as error:
            self.writing.close(True)  # noqa: FBT003 (apsw's own signature: close whatever happens)
            self.ownership.abandon()
            raise unavailable(error) from error
        self.ownership.release()

    def _finish(self) -> None:
        try:
            self.standing.require()
        except StoreUnavailable:
            # SQLite would remove the log by its name, and another database's may be there by now.
            self.writing.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raise
        self.writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.writing.close()


class SqliteStore:
    """Implements the port `Store`; made by `open_store`, used from the loop it was opened in."""

    def __init__(self, database: Database, writer: Writer, reader: Reader, sealer: Sealer) -> None:
        self._database = database
        self._writer = writer
        self._reader = reader
        self._sealer = sealer
        self._closing: asyncio.Future[None] | None = None

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
        work = partial(claims.claim, destination=destination, limit=limit, lease=lease, now=now)
        found = await self._writer.call(work)
        if found is None:
            return ()
        opened, damaged = await self._reader.run(lambda _: claims.open_claims(found, self._sealer))
        if damaged:
            await self.settle(damaged, now)
        return opened

    async def settle(self, settlements: Sequence[Settlement], now: datetime) -> int:
        """Record how claims ended; gives how many were still ours.

        A caller that is cancelled meanwhile does not stop it: what is known must not be forgotten.

        Raises:
            ValueError: a transition that is none.
        """
        try:
            rows = claims.settlement_rows(settlements)
        except TypeError as error:
            raise unavailable(error) from error
        return await asyncio.shield(self._writer.call(partial(claims.settle, rows=rows, now=now)))

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        number = await self._reader.run(partial(_next_due, destination=destination))
        return None if number is None else nearest_moment(number)

    def trouble(self) -> str | None:
        """Why nothing could be written last time; None once something could."""
        return self._writer.trouble

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        return await self._reader.run(_totals)

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""
        asked = orjson.dumps(list(message_ids)).decode()
        return await self._reader.run(partial(_deliveries, message_ids=asked))

    async def close(self) -> None:
        """Finish what was queued, then let go of the database."""
        if self._closing is None:
            self._reader.refuse()
            loop = asyncio.get_running_loop()
            self._closing = loop.run_in_executor(None, self._close)
        await asyncio.shield(self._closing)

    def _close(self) -> None:
        """Readers first: a snapshot would keep the log from being taken in whole."""
        self._writer.stop()
        self._reader.stop()
        self._database.close()


def _next_due(connection: apsw.Connection, destination: str) -> int | None:
    number: int | None = connection.execute(QUERIES["next_due"], {"destination": destination}).get
    return number


def _totals(connection: apsw.Connection) -> Totals:
    events, deliveries = connection.execute(QUERIES["totals"]).get
    return Totals(
        {Disposition(name): count for name, count in orjson.loads(events)},
        {(name, State(state)): count for name, state, count in orjson.loads(deliveries)},
    )


def _deliveries(connection: apsw.Connection, message_ids: str) -> tuple[DeliveryRecord, ...]:
    found = connection.execute(QUERIES["deliveries_of"], {"message_ids": message_ids}).get
    return tuple(
        DeliveryRecord(message_id, destination, mapping, name, State(state), attempts, reason)
        for message_id, destination, mapping, name, state, attempts, reason in orjson.loads(
            found.decode(errors="replace")
        )
    )

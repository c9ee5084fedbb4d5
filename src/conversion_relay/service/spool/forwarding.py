"""Brings what waits in the spool to the database, oldest first. Knows both by their ports.

A record goes from the spool only after the database took its events; a crash in between has it
taken there again, and the ledger knows it. What the database refuses while it answers goes last,
so that it stands in nobody's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from conversion_relay.errors import StoreError, StoreUnavailable
from conversion_relay.service.logs import fault
from conversion_relay.service.spool.book import Record
from conversion_relay.service.spool.line import Line
from conversion_relay.service.spool.spool import Spool
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings

RETRY_SECONDS: Final = 1.0
_EVENTS_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class Forwarding:
    """Tries the database while it takes nothing, and empties the spool once it does.

    Attributes:
        store: the database.
        spool: what waits.
        line: whether the database takes events.
        around: time and log.
        arrived: called when deliveries came to the database.
        show: is told how many events are in the spool, and their bytes.
    """

    store: Store
    spool: Spool
    line: Line
    around: Surroundings
    show: Callable[[int, int], None]
    arrived: Callable[[], None] = lambda: None
    _at_once: int = _EVENTS_AT_ONCE
    _forwarded: int = 0
    _said: int = 0
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Until it is cancelled. What an earlier process left is forwarded first."""
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while not await self.turn():
                await self.around.sleep(RETRY_SECONDS)

    async def turn(self) -> bool:
        """Forward until nothing is left or the database refuses; whether all is done."""
        try:
            async with self._busy:
                while await self._step():
                    pass
        except StoreError as error:
            self.around.log.error("spool.not_read", reason=str(error))
            await self._look()
            return False
        standing = self.spool.standing()
        return self.line.reason is None and standing.events == standing.unreadable

    def wake(self) -> None:
        """Something waits, or the database failed."""
        self._wanted.set()
        self._show()

    async def empty(self) -> None:
        """Bring to the database what waits now, as far as it can be read.

        Raises:
            StoreUnavailable: it does not take all of it.
        """
        standing = self.spool.standing()
        goal = self._forwarded + standing.events - standing.unreadable
        while self._forwarded < goal:
            async with self._busy:
                goes_on = self._forwarded >= goal or await self._step()
            if not goes_on:
                raise StoreUnavailable("events wait in the spool, and the database refuses them")

    async def _step(self) -> bool:
        """The next records; whether there may be more to do at once."""
        records, unreadable = await self.spool.next(self._at_once)
        if unreadable:
            self.around.log.error("spool.unreadable", events=unreadable)
        if not records:
            await self._look()
            self._say_all()
            return False
        if not await self._taken(records):
            return await self._answers() and await self._narrow(records)
        if self.line.open():
            self.around.log.info("spool.database_is_back")
        await self.spool.remove(records)
        self._forwarded += sum(len(record.events) for record in records)
        self._at_once = _EVENTS_AT_ONCE
        self._show()
        self.arrived()
        return True

    async def _taken(self, records: Sequence[Record]) -> bool:
        try:
            await self.store.append(tuple(chain.from_iterable(one.events for one in records)))
        except StoreError as error:
            self.line.fail(str(error))
        except Exception as error:  # noqa: BLE001 - a fault over one event must not keep the others
            self.around.log.error("spool.not_forwarded", **fault(error))
        else:
            return True
        return False

    async def _narrow(self, records: Sequence[Record]) -> bool:
        """The database answers, but takes not all of these: find out which it takes."""
        if len(records) > 1:
            self._at_once = max(1, sum(len(record.events) for record in records) // 2)
            return True
        self.around.log.error("spool.refused", events=len(records[0].events))
        await self.spool.put_behind(records)
        self._at_once = _EVENTS_AT_ONCE
        self.line.offer_trial()
        return False

    async def _look(self) -> None:
        """Nothing waits that could be tried, or nothing can be read: the next events may."""
        if self.line.reason is not None and await self._answers():
            self.line.offer_trial()

    async def _answers(self) -> bool:
        try:
            await self.store.lanes()
        except StoreError as error:
            self.line.fail(str(error))
            return False
        return True

    def _say_all(self) -> None:
        if self._forwarded > self._said:
            self.around.log.info("spool.forwarded", events=self._forwarded - self._said)
            self._said = self._forwarded

    def _show(self) -> None:
        standing = self.spool.standing()
        self.show(standing.events, standing.bytes)

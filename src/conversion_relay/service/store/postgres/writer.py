"""What waits to be kept, and what goes into one transaction (group commit). Knows no table.

While one transaction is on its way to the disk of the database, whatever comes in waits for the
next and goes together. A transaction that fails for a fault of its events is done again for each
caller alone; any other failure fails all its callers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.store.port import Load, NewEvent, Receipt
from conversion_relay.service.store.postgres.connections import is_of_the_caller
from conversion_relay.service.store.postgres.ingest import Ingest

_AT_ONCE: Final = 2
"""Transactions on their way: while one waits for the disk, the next is sealed and sent."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how much goes together.

    Attributes:
        waiting_events: beyond this many waiting events an append is refused.
        waiting_bytes: the same for the size of their originals.
        transaction_events: a transaction takes no further append once it has this many.
        transaction_bytes: the same for the size of their originals, so that it is done in time.
    """

    waiting_events: int = 20_000
    waiting_bytes: int = 64 * 1024 * 1024
    transaction_events: int = 2_000
    transaction_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Append:
    """Events of one caller."""

    waiter: asyncio.Future[Receipt]
    events: Sequence[NewEvent]
    size: int

    def resolve(self, receipt: Receipt) -> None:
        """Unless the caller has gone."""
        if not self.waiter.done():
            self.waiter.set_result(receipt)

    def fail(self, error: Exception) -> None:
        """Unless the caller has gone."""
        if not self.waiter.done():
            self.waiter.set_exception(error)


class Writer:
    """Takes what waits into transactions.

    Attributes:
        ingest: keeps events.
        commit_seconds: is told how long each transaction took, all in all.
    """

    def __init__(
        self, ingest: Ingest, limits: Limits, commit_seconds: Callable[[float], object]
    ) -> None:
        self.ingest = ingest
        self.commit_seconds = commit_seconds
        self._limits = limits
        self._appends: deque[_Append] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_events = self._waiting_bytes = self._commits = 0
        self._closing = False

    @property
    def load(self) -> Load:
        """What waits now."""
        return Load(self._waiting_events, self._waiting_bytes, self._commits)

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether so much more may wait; what alone is too much may when nothing else does."""
        too_many = self._waiting_events + events > self._limits.waiting_events
        too_large = self._waiting_bytes + size_bytes > self._limits.waiting_bytes
        return not (self._appends and (too_many or too_large))

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """The receipt, once the events are committed.

        Raises:
            StoreBusy: too much waits already.
            StoreUnavailable: nothing was kept, as far as it is known, or the writer was closed.
        """
        if self._closing:
            raise StoreUnavailable("the store is closed")
        waiter: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        append = _Append(waiter, events, sum(len(event.original) for event in events))
        if not self.has_room(len(events), append.size):
            raise StoreBusy(f"{self._waiting_events} events wait for the database already")
        self._waiting_events += len(events)
        self._waiting_bytes += append.size
        self._appends.append(append)
        if len(self._tasks) < _AT_ONCE:
            task = asyncio.create_task(self._write())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await waiter

    async def close(self) -> None:
        """Finish what waits, take nothing new."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _write(self) -> None:
        while self._appends:
            group = self._next_group()
            if group:
                await self._attempt(group)

    def _next_group(self) -> list[_Append]:
        """What waits longest and is still wanted, within a transaction's bounds."""
        taken: list[_Append] = []
        count = size = 0
        most, largest = self._limits.transaction_events, self._limits.transaction_bytes
        while self._appends and count < most and size < largest:
            append = self._appends.popleft()
            self._waiting_events -= len(append.events)
            self._waiting_bytes -= append.size
            if not append.waiter.done():
                taken.append(append)
                count += len(append.events)
                size += append.size
        return taken

    async def _attempt(self, group: Sequence[_Append]) -> None:
        try:
            receipts = await self._committed(group)
        except Exception as error:  # noqa: BLE001 (whatever it is, a caller has to hear of it)
            if len(group) > 1 and _is_a_fault(error):
                for append in group:
                    await self._attempt([append])
            else:
                for append in group:
                    append.fail(_told(error))
        else:
            for append, receipt in zip(group, receipts, strict=True):
                append.resolve(receipt)

    async def _committed(self, group: Sequence[_Append]) -> Sequence[Receipt]:
        began_at = perf_counter()
        receipts = await self.ingest.keep([append.events for append in group])
        if any(receipt.accepted for receipt in receipts):
            self._commits += 1
            self.commit_seconds(perf_counter() - began_at)
        return receipts


def _is_a_fault(error: Exception) -> bool:
    """Of one of the callers; what is no trouble with the database is one of them too."""
    return not isinstance(error, StoreUnavailable) or is_of_the_caller(error.__cause__)


def _told(error: Exception) -> StoreUnavailable:
    """An error for each of several callers, who may each give it a traceback."""
    if isinstance(error, StoreUnavailable):
        return error
    told = StoreUnavailable(f"the store met a fault of its own: {type(error).__name__}")
    told.__cause__ = error
    return told

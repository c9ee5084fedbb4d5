"""The thread with the only connection that writes. Knows no table.

It takes everything that waits in front of it into one transaction (group commit), settlements and
claims before new events, and answers after the COMMIT. A transaction that fails fails all its
callers, and is remembered as trouble until another succeeds; the next begins afresh.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import apsw

from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.store.port import NewEvent, Receipt
from conversion_relay.service.store.sqlite.connection import (
    transaction,
    unavailable,
    write_something,
)
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.standing import Standing

Result = TypeVar("Result")
Answer: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how much goes together.

    Attributes:
        waiting_events: beyond this many waiting events an append is refused.
        waiting_bytes: the same for the size of their originals.
        transaction_events: a transaction takes no further append once it has this many.
        database_bytes: the largest size of the database file; None: as large as the disk lets it.
    """

    waiting_events: int = 20_000
    waiting_bytes: int = 64 * 1024 * 1024
    transaction_events: int = 2_000
    database_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What the writer has before it, and how often it committed."""

    waiting_events: int
    waiting_bytes: int
    commits: int


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """Work for one caller, its type closed over."""

    abandoned: Callable[[], bool]
    work: Callable[[apsw.Connection], Answer]
    fail: Callable[[Exception], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Append:
    """Events of one caller."""

    waiter: asyncio.Future[Receipt]
    events: Sequence[NewEvent]
    size: int

    def fail(self, error: Exception) -> None:
        _fail(self.waiter, error)


@dataclass(frozen=True, slots=True)
class _Group:
    """What goes into one transaction."""

    calls: tuple[_Call, ...]
    appends: tuple[_Append, ...]

    def failures(self, error: Exception) -> list[Answer]:
        calls: list[Answer] = [partial(call.fail, error) for call in self.calls]
        return calls + [partial(append.fail, error) for append in self.appends]

    def parts(self) -> list[_Group]:
        calls = [_Group((call,), ()) for call in self.calls]
        return calls + [_Group((), (append,)) for append in self.appends]


class Writer:
    """Runs until `stop`. Its methods, `stop` aside, are for the event loop's thread."""

    def __init__(
        self,
        connection: apsw.Connection,
        ingest: Ingest,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        standing: Standing,
    ) -> None:
        self._connection = connection
        self._ingest = ingest
        self._loop = loop
        self._limits = limits
        self._standing = standing
        self._trouble: str | None = None
        self._ready = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._appends: deque[_Append] = deque()
        self._waiting_events = self._waiting_bytes = self._commits = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def load(self) -> Load:
        """What waits now."""
        return Load(self._waiting_events, self._waiting_bytes, self._commits)

    @property
    def trouble(self) -> str | None:
        """Why the last transaction failed, unless for a fault of its caller."""
        return self._trouble

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether so much more may wait; what alone is too much may when nothing else does."""
        too_many = self._waiting_events + events > self._limits.waiting_events
        too_large = self._waiting_bytes + size_bytes > self._limits.waiting_bytes
        return not (self._appends and (too_many or too_large))

    def append(self, events: Sequence[NewEvent]) -> asyncio.Future[Receipt]:
        """The receipt, once the events are committed.

        Raises:
            StoreBusy: too much waits already.
            StoreUnavailable: the writer was stopped.
        """
        waiter: asyncio.Future[Receipt] = self._loop.create_future()
        append = _Append(waiter, events, sum(len(event.original) for event in events))
        with self._ready:
            self._require_running()
            if not self.has_room(len(events), append.size):
                raise StoreBusy(f"{self._waiting_events} events wait for the disk already")
            self._waiting_events += len(events)
            self._waiting_bytes += append.size
            self._appends.append(append)
            self._ready.notify()
        return waiter

    def call(self, work: Callable[[apsw.Connection], Result]) -> asyncio.Future[Result]:
        """What the work gives inside a transaction, once that is committed.

        Raises:
            StoreUnavailable: the writer was stopped.
        """
        waiter: asyncio.Future[Result] = self._loop.create_future()

        def answer(connection: apsw.Connection) -> Answer:
            return partial(_resolve, waiter, work(connection))

        with self._ready:
            self._require_running()
            self._calls.append(_Call(waiter.cancelled, answer, partial(_fail, waiter)))
            self._ready.notify()
        return waiter

    def stop(self) -> None:
        """Finish what waits, take nothing new, end the thread."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join()

    def _require_running(self) -> None:
        if self._stopping:
            raise StoreUnavailable("the store is closed")

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if not (group.calls or group.appends):
                continue  # nobody waits for what was queued any more
            answers = self._attempt(group)
            with suppress(RuntimeError):  # the loop is closed: again nobody waits
                self._loop.call_soon_threadsafe(_give, answers)

    def _next_group(self) -> _Group | None:
        """Everything that waits and is still wanted, within a transaction's bounds."""
        with self._ready:
            while not (self._calls or self._appends or self._stopping):
                self._ready.wait()
            if not (self._calls or self._appends):
                return None
            calls = [call for call in self._calls if not call.abandoned()]
            self._calls.clear()
            return _Group(tuple(calls), tuple(self._take_appends()))

    def _take_appends(self) -> list[_Append]:
        taken: list[_Append] = []
        count = 0
        while self._appends and count < self._limits.transaction_events:
            append = self._appends.popleft()
            self._waiting_events -= len(append.events)
            self._waiting_bytes -= append.size
            if not append.waiter.cancelled():
                taken.append(append)
                count += len(append.events)
        return taken

    def _attempt(self, group: _Group) -> list[Answer]:
        """Commit the group. Trouble with the disk fails all of it, a fault only whose it is."""
        try:
            return self._commit(group)
        except (apsw.Error, StoreUnavailable) as error:
            told = unavailable(error)
            self._trouble = str(told)
            return group.failures(told)
        except Exception as error:  # noqa: BLE001 (the thread outlives any fault of a caller)
            parts = group.parts()
            if len(parts) <= 1:
                return group.failures(unavailable(error))
            return [answer for part in parts for answer in self._attempt(part)]

    def _commit(self, group: _Group) -> list[Answer]:
        events = [append.events for append in group.appends]
        prepared = self._ingest.prepare(self._connection, events)
        with transaction(self._connection):
            answers = [call.work(self._connection) for call in group.calls]
            self._ingest.keep(self._connection, prepared)
            if self._trouble is not None:  # a commit without a write would not prove it over
                write_something(self._connection)
            self._standing.require()
        self._trouble = None
        self._ingest.committed(prepared)
        self._commits += 1
        receipts = zip(group.appends, prepared.receipts, strict=True)
        return answers + [partial(_resolve, one.waiter, receipt) for one, receipt in receipts]


def _give(answers: Sequence[Answer]) -> None:
    """In the loop, all at once: waking it for every caller would cost more than the answer."""
    for answer in answers:
        answer()


def _resolve(waiter: asyncio.Future[Result], result: Result) -> None:
    if not waiter.done():
        waiter.set_result(result)


def _fail(waiter: asyncio.Future[Result], error: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(error)

"""The thread with the only connection that writes. Knows no table.

It takes everything that waits in front of it into one transaction (group commit), settlements and
claims before new events, and answers after the COMMIT. A transaction that fails fails all its
callers, and is remembered as trouble until another succeeds; the next begins afresh, after a while
even if nobody asks for one. While the disk is the trouble, callers whose work can stand by (see
`standby`) get that done.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import perf_counter

import apsw

from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.store.embedded.connection import (
    transaction,
    unavailable,
    write_something,
)
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.port import Load, NewEvent, Receipt
from conversion_relay.service.store.sqlite.groups import (
    Answer,
    Append,
    Call,
    Group,
    Result,
    Work,
    give,
    resolve,
    take_wanted,
)
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.standby import Standby, is_of_the_disk


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, and how much goes together.

    Attributes:
        waiting_events: beyond this many waiting events an append is refused.
        waiting_bytes: the same for the size of their originals.
        transaction_events: a transaction takes no further append once it has this many.
        database_bytes: the largest size of the database file; None: as large as the disk lets it.
        standby_deliveries: beyond this many, nothing is claimed before something can be written.
        retry: after a failure, how soon something is written to see whether it can be.
    """

    waiting_events: int = 20_000
    waiting_bytes: int = 64 * 1024 * 1024
    transaction_events: int = 2_000
    database_bytes: int | None = None
    standby_deliveries: int = 50_000
    retry: timedelta = timedelta(seconds=1)


class Writer:
    """Runs until `stop`. Its methods, `stop` aside, are for the event loop's thread.

    Attributes:
        commit_seconds: is told by the writing thread how long each commit took, all in all.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        ingest: Ingest,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        standing: Standing,
        standby: Standby,
    ) -> None:
        self.commit_seconds: Callable[[float], object] = lambda _: None
        self._connection = connection
        self._ingest = ingest
        self._loop = loop
        self._limits = limits
        self._standing = standing
        self._standby = standby
        self._trouble: StoreUnavailable | None = None
        self._disk_fails = False
        self._trying_again = False
        self._ready = threading.Condition()
        self._calls: deque[Call] = deque()
        self._apart: deque[Call] = deque()
        self._appends: deque[Append] = deque()
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
        return None if self._trouble is None else str(self._trouble)

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
        append = Append(waiter, events, sum(len(event.original) for event in events))
        with self._ready:
            self._require_running()
            if not self.has_room(len(events), append.size):
                raise StoreBusy(f"{self._waiting_events} events wait for the disk already")
            self._waiting_events += len(events)
            self._waiting_bytes += append.size
            self._appends.append(append)
            self._ready.notify()
        return waiter

    def call(
        self, work: Work[Result], instead: Work[Result] | None = None
    ) -> asyncio.Future[Result]:
        """What the work gives inside a transaction, once that is committed.

        Or what `instead` gives outside of one, while the disk cannot be written.

        Raises:
            StoreUnavailable: the writer was stopped.
        """
        waiter: asyncio.Future[Result] = self._loop.create_future()
        with self._ready:
            self._require_running()
            self._calls.append(Call.of(waiter, work, instead))
            self._ready.notify()
        return waiter

    def apart(self, work: Work[Result]) -> asyncio.Future[Result]:
        """What the work gives outside of a transaction, after what goes into the next one.

        Raises:
            StoreUnavailable: the writer was stopped.
        """
        waiter: asyncio.Future[Result] = self._loop.create_future()
        with self._ready:
            self._require_running()
            self._apart.append(Call.of(waiter, work, None))
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
            answers: list[Answer] = []
            if group.writes:  # unless nobody waits for what was queued any more
                answers += self._stand_by(group) if self._may_wait(group) else self._attempt(group)
            answers += [self._do_apart(call) for call in group.apart]
            with suppress(RuntimeError):  # the loop is closed: again nobody waits
                self._loop.call_soon_threadsafe(give, answers)
        if self._trouble is not None:
            self._attempt(Group())  # the last chance to write the book of the standby

    def _next_group(self) -> Group | None:
        """Everything that waits and is still wanted, within a transaction's bounds."""
        with self._ready:
            while not (self._calls or self._appends or self._apart or self._stopping):
                self._ready.wait()
            if not (self._calls or self._appends or self._apart):
                return None
            appends = tuple(self._take_appends())
            return Group(take_wanted(self._calls), appends, take_wanted(self._apart))

    def _take_appends(self) -> list[Append]:
        taken: list[Append] = []
        count = 0
        while self._appends and count < self._limits.transaction_events:
            append = self._appends.popleft()
            self._waiting_events -= len(append.events)
            self._waiting_bytes -= append.size
            if not append.waiter.cancelled():
                taken.append(append)
                count += len(append.events)
        return taken

    def _attempt(self, group: Group) -> list[Answer]:
        """Commit the group. Trouble with the disk fails all of it, a fault only whose it is."""
        try:
            return self._commit(group)
        except Exception as error:  # noqa: BLE001 (the thread outlives any fault of a caller)
            if _is_trouble(error):
                return self._failed(group, error)
            parts = group.parts()
            if len(parts) > 1:
                return [answer for part in parts for answer in self._attempt(part)]
            if self._trouble is not None:
                self._try_later()  # what is in the book still has to be written
            return group.failures(unavailable(error))

    def _failed(self, group: Group, error: Exception) -> list[Answer]:
        """Claims and settlements may fit where new events do not; else they stand by."""
        self._trouble = told = unavailable(error)
        self._try_later()
        refused = Group(appends=group.appends).failures(told)
        if group.calls and group.appends:
            return self._attempt(Group(group.calls)) + refused
        if group.calls or not is_of_the_disk(error):
            self._disk_fails = is_of_the_disk(error)
        return self._stand_by(Group(group.calls)) + refused

    def _may_wait(self, group: Group) -> bool:
        """Whether all of it can stand by, and writing failed a moment ago."""
        return self._disk_fails and not group.appends and all(call.instead for call in group.calls)

    def _stand_by(self, group: Group) -> list[Answer]:
        return [self._instead(call) for call in group.calls]

    def _instead(self, call: Call) -> Answer:
        told = self._trouble or StoreUnavailable("nothing could be written")
        if call.instead is None or not self._disk_fails:
            return partial(call.fail, told)
        try:
            return call.instead(self._connection)
        except Exception as error:  # noqa: BLE001 (the thread outlives any fault of a caller)
            return partial(call.fail, unavailable(error))

    def _do_apart(self, call: Call) -> Answer:
        try:
            return call.work(self._connection)
        except Exception as error:  # noqa: BLE001 (the thread outlives any fault of a caller)
            return partial(call.fail, unavailable(error))

    def _try_later(self) -> None:
        if not self._trying_again:
            self._trying_again = True
            seconds = self._limits.retry.total_seconds()
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._try_again)

    def _try_again(self) -> None:
        """Work that writes nothing of its own, so that recovery needs no callers."""
        self._trying_again = False
        if self._trouble is not None:
            with suppress(StoreUnavailable):  # stopped meanwhile
                self.call(lambda _: None).add_done_callback(asyncio.Future.exception)

    def _commit(self, group: Group) -> list[Answer]:
        began_at = perf_counter()
        if self._trouble is not None:  # a commit without a write would not prove it over
            with transaction(self._connection):
                write_something(self._connection)
                self._standing.require()
        events = [append.events for append in group.appends]
        prepared = self._ingest.prepare(self._connection, events)
        self._standby.write(self._connection)
        with transaction(self._connection):
            answers = [call.work(self._connection) for call in group.calls]
            self._ingest.keep(self._connection, prepared)
            self._standing.require()
        self._trouble, self._disk_fails = None, False
        self._ingest.committed(prepared)
        self._commits += 1
        self.commit_seconds(perf_counter() - began_at)
        receipts = zip(group.appends, prepared.receipts, strict=True)
        return answers + [partial(resolve, one.waiter, receipt) for one, receipt in receipts]


def _is_trouble(error: Exception) -> bool:
    """Of the database, whoever asks; a rule of the schema is broken by a caller's own values."""
    of_the_database = isinstance(error, (apsw.Error, StoreUnavailable))
    return of_the_database and not isinstance(error, apsw.ConstraintError)

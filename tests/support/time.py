"""Time that passes only when it is told to, or when nobody has anything else to do."""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
_TURNS_TO_A_STOP = 10
"""More turns of the event loop than anything here takes from one wait to the next."""


@dataclass
class VirtualTime:
    """A clock and the sleep that goes with it."""

    now: datetime = START
    _order: Iterator[int] = field(default_factory=itertools.count)
    _sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = field(default_factory=list)

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Comes back when so much virtual time has passed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        until = self.now + timedelta(seconds=max(0.0, seconds))
        heapq.heappush(self._sleepers, (until, next(self._order), waiter))
        await waiter

    def turn(self, **by: float) -> None:
        """Lets time pass: seconds, minutes, hours or days; wakes whom that concerns."""
        self.turn_to(self.now + timedelta(**by))

    def turn_to(self, moment: datetime) -> None:
        """Lets time pass until then."""
        self.now = max(self.now, moment)
        while self._sleepers and self._sleepers[0][0] <= self.now:
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)

    def next_wake(self) -> datetime | None:
        """When the first of those who sleep wants to be woken."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None


class Work:
    """Counts what goes on outside the event loop, so that nobody takes its wait for idleness."""

    def __init__(self) -> None:
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Something goes on inside."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def rest(self) -> None:
        """Comes back when nothing goes on, and everybody who runs has come to a stop."""
        turns = 0
        while turns < _TURNS_TO_A_STOP:
            await self._idle.wait()
            await asyncio.sleep(0)
            turns = turns + 1 if self._idle.is_set() else 0


class Watched:
    """A store whose calls count as work going on; once it is dead, none comes back."""

    def __init__(self, watched: object, work: Work) -> None:
        self._watched = watched
        self._work = work
        self.dead = False

    def __getattr__(self, name: str) -> object:
        """The watched one's attribute; coroutines are counted while they run."""
        found = getattr(self._watched, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def counted(*positional: object, **named: object) -> object:
            if self.dead:
                raise asyncio.CancelledError
            with self._work.going_on():
                return await found(*positional, **named)

        return counted


async def drive(time: VirtualTime, work: Work, until: Callable[[], bool]) -> None:
    """Lets time pass as soon as everybody sleeps, until the condition holds."""
    while True:
        await work.rest()
        if until():
            return
        wake = time.next_wake()
        assert wake is not None, "nobody would ever do anything again"
        time.turn_to(wake)

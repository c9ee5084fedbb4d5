"""Time that passes hundreds of times faster than on the wall, and no faster than work is done.

A clock and the sleep that goes with it, for everything in one event loop. Knows nobody who sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

_STEP: Final = timedelta(seconds=2.5)
"""The longest leap: shorter than anything the service waits for while nothing happens."""
_TURNS_OF_THE_LOOP: Final = 4
_PATIENCE_SECONDS: Final = 1.0
"""So long at most time stands still between two leaps; what hangs has to time out."""
_MOST_GRACES: Final = 3
"""Who took that time so often waits for something else, and is not waited for any more."""
_LOOK_SECONDS: Final = 0.0005


@dataclass
class Acceleration:
    """The present of the demonstration.

    It stands still while somebody works who slept before, and for what is on its way.

    Attributes:
        now: the present, aware.
        factor: how much faster time passes than on the wall, at most.
        busy: whether something goes on for which time has to stand still.
    """

    now: datetime
    factor: float
    busy: Callable[[], bool] = lambda: False
    _began: datetime = field(init=False)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _awake: set[asyncio.Task[object]] = field(default_factory=set)
    _late: Counter[asyncio.Task[object]] = field(default_factory=Counter)
    _sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remembers the beginning."""
        self._began = self.now

    def clock(self) -> datetime:
        """The present."""
        return self.now

    def timestamp(self) -> float:
        """The present in Unix seconds."""
        return self.now.timestamp()

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return (self.now - self._began).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Comes back when so much of this time has passed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        until = self.now + timedelta(seconds=max(0.0, seconds))
        heapq.heappush(self._sleepers, (until, next(self._order), waiter))
        sleeper: set[asyncio.Task[object]] = {one for one in (asyncio.current_task(),) if one}
        self._awake -= sleeper
        await waiter
        self._awake |= sleeper

    async def run(self) -> None:
        """Lets time pass until cancelled, as fast as `factor` and the work allow."""
        then, wall = self.now, time.monotonic()
        factor = self.factor
        while True:
            await self._rest()
            if factor != self.factor:
                then, wall, factor = self.now, time.monotonic(), self.factor
            self._leap()
            due = wall + (self.now - then).total_seconds() / factor
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _rest(self) -> None:
        """Until everybody who runs has come to a stop, as far as that can be seen."""
        for _ in range(_TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)
        if not await _while(self._somebody_works, _PATIENCE_SECONDS):
            self._late.update(self._awake)
        self._awake.clear()
        await _while(self.busy, _PATIENCE_SECONDS)

    def _somebody_works(self) -> bool:
        return any(not task.done() and self._late[task] < _MOST_GRACES for task in self._awake)

    def _leap(self) -> None:
        """To the next who wants to be woken, or a step."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        step = self.now + min(_STEP, timedelta(seconds=self.factor / 20))
        self.now = min(step, max(self.now, self._sleepers[0][0])) if self._sleepers else step
        while self._sleepers and self._sleepers[0][0] <= self.now:
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)


async def _while(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits until it no longer holds, at most so long; whether it no longer does."""
    patience = time.monotonic() + seconds
    while condition():
        if time.monotonic() > patience:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True

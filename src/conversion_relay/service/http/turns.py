"""Who may use the one event loop, and for how long: large requests in turn, all with pauses.

Python decodes and plans one thing at a time anyhow; without turns every large request would slow
down every other. Knows nothing of events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, TypeVar

_SLICE_SECONDS: Final = 0.002
Item = TypeVar("Item")


class Turns:
    """Lets large requests through one by one, in the order in which they came.

    Args:
        max_waiting_bytes: of the bodies that wait; one alone may be larger.
    """

    def __init__(self, max_waiting_bytes: int) -> None:
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._lock = asyncio.Lock()

    def has_room(self, size_bytes: int) -> bool:
        """Whether one more body may wait."""
        waiting = self._waiting_bytes
        return not waiting or waiting + size_bytes <= self._max_waiting_bytes

    @asynccontextmanager
    async def turn(self, size_bytes: int) -> AsyncIterator[None]:
        """Waits until it is this request's turn, which lasts until it is left."""
        self._waiting_bytes += size_bytes
        try:
            async with self._lock:
                yield
        finally:
            self._waiting_bytes -= size_bytes


class Pace:
    """Interrupts a long piece of work, so that the loop can serve others in between."""

    def __init__(self) -> None:
        self._pause_at = perf_counter() + _SLICE_SECONDS

    def is_over(self) -> bool:
        """Whether the work went on for a slice of time; cheaper to ask than to breathe."""
        return perf_counter() >= self._pause_at

    async def breathe(self) -> None:
        """Lets the others have the loop if the slice of time is over."""
        if self.is_over():
            await asyncio.sleep(0)
            self._pause_at = perf_counter() + _SLICE_SECONDS


async def paced(steps: Iterable[Item | None]) -> AsyncIterator[Item]:
    """What the steps of a long piece of work give, with pauses; None is a step without result."""
    pace = Pace()
    for step in steps:
        if step is not None:
            yield step
        if pace.is_over():
            await pace.breathe()

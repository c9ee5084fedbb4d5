"""Asks something that may never answer, without waiting for it longer than one wants to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from conversion_relay.errors import StoreUnavailable

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Question(Generic[Answer]):
    """One question, asked again and again, but never while an earlier answer is missing.

    Attributes:
        ask: gives the answer.
        sleep: waits so many seconds.
    """

    ask: Callable[[], Awaitable[Answer]]
    sleep: Callable[[float], Awaitable[None]]
    _asked: asyncio.Future[Answer] | None = field(default=None)

    async def answer(self, seconds: float) -> Answer:
        """What was answered within so many seconds.

        Raises:
            StoreUnavailable: nothing was, or the store cannot be asked.
        """
        asked = self._asked = self._asked or asyncio.ensure_future(self.ask())
        alarm = asyncio.ensure_future(self.sleep(seconds))
        try:
            await asyncio.wait((asked, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
        if not asked.done():
            raise StoreUnavailable(f"no answer within {seconds:g} s")
        self._asked = None
        if asked.cancelled():
            raise StoreUnavailable("the question was dropped")
        return asked.result()

    def drop(self) -> None:
        """Wait for no answer any more."""
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

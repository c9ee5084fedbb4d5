"""The spool as the event loop sees it: keeps events, gives them back in turn. Knows no database.

One thread does everything that touches the file. What waits when it is free is kept in one
transaction (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.spool.book import Book, Record, open_book, size_of
from conversion_relay.service.store.port import NewEvent
from conversion_relay.service.store.times import nearest_moment

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SpoolStanding:
    """What is in the spool.

    Attributes:
        events: that wait.
        bytes: of the sealed values, as they count for the bound.
        oldest: when the oldest of them was received; None when there is none.
        unreadable: how many of them cannot be opened: their key is not at hand, or they were
            changed. They stay until they can.
    """

    events: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    unreadable: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    events: Sequence[NewEvent]
    size: int
    done: asyncio.Future[None]


class Spool:
    """Made by `open_spool`, used from the loop it was opened in.

    Attributes:
        trouble: why nothing could be kept last time; None once something could.
    """

    def __init__(self, book: Book, most_bytes: int) -> None:
        self.trouble: str | None = None
        self._book = book
        self._most_bytes = most_bytes
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False

    def standing(self) -> SpoolStanding:
        """What is in it now."""
        sums = self._book.sums
        oldest = None if sums.oldest is None else nearest_moment(sums.oldest)
        return SpoolStanding(sums.events, sums.size, oldest, sums.aside)

    @property
    def waiting_events(self) -> int:
        """How many wait for the disk."""
        return sum(len(one.events) for one in self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Their size."""
        return self._waiting_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes fit into it."""
        return self._book.sums.size + self._waiting_bytes + size_bytes <= self._most_bytes

    async def keep(self, events: Sequence[NewEvent]) -> None:
        """Keep these events; they are on the disk when this comes back.

        Raises:
            StoreUnavailable: it is full or closed, or the disk fails; nothing was kept.
        """
        size = size_of(events)
        self._require_open()
        if not self.has_room(size):
            raise StoreUnavailable("the spool is full")
        waiting = _Waiting(events, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_all())
        await waiting.done

    async def next(self, most: int) -> tuple[tuple[Record, ...], int]:
        """The records whose turn it is; and how many events turned out to be unreadable."""
        return await self._do(partial(self._book.next, most))

    async def remove(self, records: Sequence[Record]) -> None:
        """These are where they belong."""
        await self._do(partial(self._book.remove, records))

    async def put_behind(self, records: Sequence[Record]) -> None:
        """Let all others go before these."""
        await self._do(partial(self._book.put_behind, records))

    async def close(self) -> None:
        """Keep what was taken on, then let go of the file; what is in it stays."""
        if self._closed:
            return
        self._closed = True
        if self._keeping is not None:
            await self._keeping
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._book.close)
        finally:
            self._executor.shutdown(wait=False)

    async def _keep_all(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                await self._run(partial(self._book.keep, [one.events for one in taken]))
            except StoreUnavailable as error:
                self.trouble = str(error)
                for one in taken:
                    if not one.done.done():
                        one.done.set_exception(error)
            else:
                self.trouble = None
                for one in taken:
                    if not one.done.done():
                        one.done.set_result(None)
            self._waiting_bytes -= sum(one.size for one in taken)

    async def _do(self, work: Callable[[], Result]) -> Result:
        self._require_open()
        return await self._run(work)

    async def _run(self, work: Callable[[], Result]) -> Result:
        """What the work gives; whatever goes wrong, the caller is told in the store's words."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, work)
        except StoreUnavailable:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise StoreUnavailable(f"the spool met a fault of its own ({kind})") from error

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the spool is closed")


async def open_spool(path: Path, sealer: Sealer, most_bytes: int) -> Spool:
    """The spool in that file, which is made when missing; the caller closes it.

    Raises:
        ConfigurationError: there can be no file at this path, another process has it, or a newer
            release wrote it.
        StoreUnavailable: it cannot be read or written, or is damaged.
    """
    return Spool(await asyncio.to_thread(open_book, path, sealer), most_bytes)

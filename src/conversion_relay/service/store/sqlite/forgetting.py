"""Forgetting a user: the order of the steps, and which thread does which. Knows no clock.

Looking and erasing happen on the reader's and the writer's thread, some milliseconds at a time;
originals are opened, searched and sealed again elsewhere. Ends with the log taken into the
database, so that nothing that was erased stands in either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.sqlite import erasing
from conversion_relay.service.store.sqlite.connection import take_in_log
from conversion_relay.service.store.sqlite.erasing import Asked
from conversion_relay.service.store.sqlite.memory import Memory
from conversion_relay.service.store.sqlite.originals import SealedOriginals
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.removal import Thinnable, keep_thinned
from conversion_relay.service.store.sqlite.subjects import NOBODY
from conversion_relay.service.store.sqlite.sweeping import thin_all
from conversion_relay.service.store.sqlite.writer import Writer

_TRIES: Final = 50
_SEARCHED_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Erases what is kept of a user, a step at a time."""

    writer: Writer
    reader: Reader
    memory: Memory

    async def forget(self, user: str, source: str | None, now: datetime) -> Forgotten:
        """What was erased.

        Raises:
            StoreUnavailable: not all of it was; what was stays so.
        """
        forget = partial(self.memory.forget, user=user, source=source, now=now)
        forgotten = await self.writer.call(forget)
        async for events in self._events(await self._asked(user, source)):
            forgotten = forgotten.plus(await self._erase(events))
        await self._take_in_log()
        return forgotten

    async def count(self, user: str, source: str | None, now: datetime) -> Forgotten:
        """What would be."""
        count = partial(self.memory.forgettable, user=user, source=source, now=now)
        counted = await self.reader.run(count)
        async for events in self._events(await self._asked(user, source)):
            kept = partial(erasing.what_is_kept, events=events)
            counted = counted.plus(await self.reader.run(kept))
        return counted

    async def _asked(self, user: str, source: str | None) -> Asked:
        last = await self.reader.run(erasing.newest_event)
        return Asked(user, source, self.memory.subjects.mark_of(user), last)

    async def _events(self, asked: Asked) -> AsyncIterator[Sequence[int]]:
        """The user's events, some at a time: those with hashes, older ones, unreadable ones."""
        async for events in self._marked(asked, asked.mark):
            yield events
        async for events in self._older(asked):
            yield events
        async for events in self._marked(asked, NOBODY):
            for some in _portions(events):
                chunks = await self.reader.run(partial(erasing.chunks_of, events=some))
                yield await self._search(chunks, asked, frozenset(some))

    async def _marked(self, asked: Asked, mark: bytes) -> AsyncIterator[Sequence[int]]:
        first: int | None = 0
        while first is not None:
            look = partial(erasing.next_events, asked=asked, first=first, mark=mark)
            found = await self.reader.run(look)
            yield found.events
            first = found.following

    async def _older(self, asked: Asked) -> AsyncIterator[Sequence[int]]:
        after, last = 0, min(asked.last, self.memory.subjects.first_event - 1)
        while chunks := await self._chunks(after, last):
            after = chunks[-1].first_event
            yield await self._search(chunks, asked, None)

    async def _chunks(self, after: int, last: int) -> tuple[SealedOriginals, ...]:
        return await self.reader.run(partial(erasing.next_chunks, after=after, last=last))

    async def _search(
        self, chunks: Sequence[SealedOriginals], asked: Asked, unread: frozenset[int] | None
    ) -> Sequence[int]:
        sealer = self.memory.sealer
        return await asyncio.to_thread(erasing.search, chunks, asked, sealer, unread)

    async def _erase(self, events: Sequence[int]) -> Forgotten:
        """All of these, as many at a time as a short transaction takes."""
        forgotten = Forgotten()
        while events:
            piece = await self.reader.run(partial(erasing.piece_of, events=events))
            thinned = await asyncio.to_thread(thin_all, piece.shared, self.memory.sealer)
            erase = partial(erasing.erase, piece=piece, thinned=thinned)
            forgotten = forgotten.plus(await self.writer.call(erase))
            await self._thin(piece.shared)
            events = events[len(piece.events) :]
        return forgotten

    async def _thin(self, shared: Sequence[Thinnable]) -> None:
        """What the sweep touched at the same moment was not written, and is done again."""
        while left := await self.reader.run(partial(erasing.still_held, shared=shared)):
            results = await asyncio.to_thread(thin_all, left, self.memory.sealer)
            await self.writer.call(partial(keep_thinned, results=results))

    async def _take_in_log(self) -> None:
        """Between two tries the reader finishes what it began: that can be in the way."""
        for _ in range(_TRIES):
            if await self.writer.apart(take_in_log):
                return
            await self.reader.run(erasing.newest_event)
        raise StoreUnavailable(
            "another program reads the database, so that its log still holds what was erased: end "
            "that program, and ask again"
        )


def _portions(events: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(events), _SEARCHED_AT_ONCE):
        yield events[begin : begin + _SEARCHED_AT_ONCE]

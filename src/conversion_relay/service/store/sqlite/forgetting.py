"""Forgetting users: the order of the steps, and which thread does which. Knows no clock.

Looking and erasing happen on the reader's and the writer's thread, some milliseconds at a time;
originals are opened, searched and sealed again elsewhere. Ends with the log taken into the
database, so that nothing that was erased stands in either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.embedded.connection import take_in_log
from conversion_relay.service.store.originals import SealedOriginals, Thinnable, thin_all
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.searching import Asked, search
from conversion_relay.service.store.sqlite import erasing
from conversion_relay.service.store.sqlite.memory import Memory
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.removal import keep_thinned
from conversion_relay.service.store.sqlite.writer import Writer

_TRIES: Final = 50
_AT_ONCE: Final = 50
"""Unreadable events that are searched, and users whose match keys go."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Erases what is kept of users, a step at a time.

    Attributes:
        looking_back: whoever holds it keeps the history from being read meanwhile.
    """

    writer: Writer
    reader: Reader
    memory: Memory
    looking_back: asyncio.Lock

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What was erased.

        Raises:
            StoreUnavailable: not all of it was; what was stays so.
        """
        asked = await self._asked(users, source)
        forgotten = Forgotten()
        for some in _portions(sorted(users)):
            forget = partial(self.memory.forget, users=some, source=source, now=now)
            forgotten = forgotten.plus(await self.writer.call(forget))
        async for events in self._events(asked):
            forgotten = forgotten.plus(await self._erase(events))
        await self._take_in_log()
        return forgotten

    async def count(self, users: AbstractSet[str], source: str | None, now: datetime) -> Forgotten:
        """What would be."""
        count = partial(self.memory.forgettable, users=sorted(users), source=source, now=now)
        counted = await self.reader.run(count)
        async for events in self._events(await self._asked(users, source)):
            kept = partial(erasing.what_is_kept, events=events)
            counted = counted.plus(await self.reader.run(kept))
        return counted

    async def _asked(self, users: AbstractSet[str], source: str | None) -> Asked:
        """Before match keys go: what an event taught must not outlive the event."""
        last = await self.reader.run(erasing.newest_event)
        marks = self.memory.subjects.marks_of(users)
        return Asked(frozenset(users), source, marks, last)

    async def _events(self, asked: Asked) -> AsyncIterator[Sequence[int]]:
        """The users' events, some at a time: those with hashes, unreadable ones, older ones."""
        first: int | None = 0
        while first is not None:
            look = partial(erasing.next_events, asked=asked, first=first)
            found = await self.reader.run(look)
            yield found.events
            for some in _portions(found.unread):
                chunks = await self.reader.run(partial(erasing.chunks_of, events=some))
                yield await self._search(chunks, asked, frozenset(some))
            first = found.following
        async for events in self._older(asked):
            yield events

    async def _older(self, asked: Asked) -> AsyncIterator[Sequence[int]]:
        after, last = 0, min(asked.last, self.memory.first_event - 1)
        while chunks := await self._chunks(after, last):
            after = chunks[-1].first_event
            yield await self._search(chunks, asked, None)

    async def _chunks(self, after: int, last: int) -> tuple[SealedOriginals, ...]:
        return await self.reader.run(partial(erasing.next_chunks, after=after, last=last))

    async def _search(
        self, chunks: Sequence[SealedOriginals], asked: Asked, unread: frozenset[int] | None
    ) -> Sequence[int]:
        sealer = self.memory.sealer
        return await asyncio.to_thread(search, chunks, asked, sealer, unread)

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
            async with self.looking_back:
                if await self.writer.apart(take_in_log):
                    return
            await self.reader.run(erasing.newest_event)
        raise StoreUnavailable(
            "another program reads the database, so that its log still holds what was erased: end "
            "that program, and ask again"
        )


def _portions(all_of_them: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for begin in range(0, len(all_of_them), _AT_ONCE):
        yield all_of_them[begin : begin + _AT_ONCE]

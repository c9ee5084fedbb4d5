"""Forgetting users: the order of the steps. Knows no clock.

Looking and erasing are short pieces of work on connections that events never wait for; originals
are opened, searched and sealed again in a thread. Match keys go last: whatever event was erased,
what it taught was there by then, whichever node kept it.

What is gone is gone for everybody who asks the database. Its sealed bytes may stay in dead rows,
the log and copies of the server, where only the key opens them: see docs/decisions/0023.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final, TypeVar

from conversion_relay.service.store.originals import SealedOriginals
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.postgres import erasing
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.memory import Memory
from conversion_relay.service.store.searching import Asked, search

_AT_ONCE: Final = 50
"""Events whose originals are searched, and users whose match keys go."""
_COUNTED_AT_ONCE: Final = 2_000
_STEP_SECONDS: Final = 30.0
Item = TypeVar("Item")


class Forgetting:
    """Erases what is kept of users, a step at a time, whichever nodes work beside it."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What was erased.

        Raises:
            StoreUnavailable: not all of it was; what was stays so.
        """
        forgotten = Forgotten()
        async for events in self._events(users, source):
            async for erased in self._erase(events):
                forgotten = forgotten.plus(erased)
        for some in _portions(sorted(users), _AT_ONCE):
            forgotten = forgotten.plus(await self._memory.forget(some, source, now))
        return forgotten

    async def forgettable(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What would be."""
        counted = await self._memory.forgettable(users, source, now)
        async for events in self._events(users, source):
            for some in _portions(events, _COUNTED_AT_ONCE):

                async def count(connection: Connection, some: Sequence[int] = some) -> Forgotten:
                    return await erasing.what_is_kept(connection, some)

                counted = counted.plus(await self._database.slow.run(count, _STEP_SECONDS))
        return counted

    async def _events(
        self, users: AbstractSet[str], source: str | None
    ) -> AsyncIterator[Sequence[int]]:
        """The users' events that are kept by now, some at a time."""
        last = await self._database.slow.run(erasing.newest_chunk)
        asked = Asked(frozenset(users), source, self._memory.subjects.marks_of(users), last)
        after: int | None = -1
        while after is not None:
            found = await self._next(asked, after)
            yield found.events
            for some in _portions(found.unread, _AT_ONCE):
                yield await self._search(some, asked, frozenset(some))
            for some in _portions(found.untold, _AT_ONCE):
                theirs = await self._search(some, asked, None)
                yield [event for event in some if event in theirs]
            after = found.following

    async def _next(self, asked: Asked, after: int) -> erasing.Stretch:
        async def look(connection: Connection) -> erasing.Stretch:
            return await erasing.next_events(connection, asked, after)

        return await self._database.slow.run(look, _STEP_SECONDS)

    async def _search(
        self, events: Sequence[int], asked: Asked, unread: frozenset[int] | None
    ) -> Sequence[int]:
        async def read(connection: Connection) -> Sequence[SealedOriginals]:
            return await erasing.chunks_with(connection, events)

        chunks = await self._database.slow.run(read, _STEP_SECONDS)
        return await asyncio.to_thread(search, chunks, asked, self._database.sealer, unread)

    async def _erase(self, events: Sequence[int]) -> AsyncIterator[Forgotten]:
        """All of these, as many at a time as a short transaction takes."""
        while events:
            done = 0

            async def step(connection: Connection, events: Sequence[int] = events) -> Forgotten:
                nonlocal done
                piece = await erasing.piece_of(connection, events)
                done = len(piece.events)
                return await erasing.erase(connection, piece, self._database.sealer)

            yield await self._database.slow.transact(step, _STEP_SECONDS)
            events = events[done:]


def _portions(all_of_them: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for begin in range(0, len(all_of_them), size):
        yield all_of_them[begin : begin + size]

"""Numbers for ids, taken from the database in blocks that no other node has."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from conversion_relay.service.store.postgres.connections import Connection, Connections
from conversion_relay.service.store.postgres.queries import QUERIES

BLOCK: Final = 10_000
"""How far the sequences go each time; so many at most are taken at once."""


class Numbers:
    """Gives out the numbers of one sequence, in rising order."""

    def __init__(self, connections: Connections, sequence: str) -> None:
        self._connections = connections
        self._sequence = sequence
        self._next = self._end = 0
        self._turn = asyncio.Lock()

    async def take(self, count: int) -> int:
        """The first of so many in a row, at most BLOCK; what is left of a block is passed over.

        Raises:
            StoreUnavailable: there is none left, and the database gives no new ones.
        """
        async with self._turn:
            if self._next + count > self._end:
                self._next = await self._connections.run(partial(_block, sequence=self._sequence))
                self._end = self._next + BLOCK
            first, self._next = self._next, self._next + count
        return first


async def _block(connection: Connection, sequence: str) -> int:
    first: int = await connection.fetchval(QUERIES["next_numbers"], sequence)
    return first

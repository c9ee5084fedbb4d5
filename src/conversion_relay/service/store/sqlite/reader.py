"""The thread with the connection that only reads. Knows no query.

Each piece of work is short and reads everything at once, so that no snapshot keeps the log from
being taken into the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.embedded.connection import unavailable

Result = TypeVar("Result")


class Reader:
    """Runs until `stop`; one piece of work at a time."""

    def __init__(self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._stopping = False

    async def run(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """What the work gives.

        Raises:
            StoreUnavailable: the database cannot be read, the work failed, or the reader was
                stopped.
        """
        if self._stopping:
            raise StoreUnavailable("the store is closed")
        try:
            return await self._loop.run_in_executor(self._executor, work, self._connection)
        except Exception as error:
            raise unavailable(error) from error

    def refuse(self) -> None:
        """Take nothing new."""
        self._stopping = True

    def stop(self) -> None:
        """Finish what waits, end the thread, close the connection."""
        self._executor.shutdown()
        self._connection.close()

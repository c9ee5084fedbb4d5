"""Working on tables that others use: briefly or not at all. Knows no table.

Whoever waits for a table's lock keeps everybody behind him waiting. So nobody waits longer than a
moment, which is also shorter than the server takes to look for a circle of waiting: in one, it is
always this side that gives way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from conversion_relay.service.store.postgres.connections import COMMAND_SECONDS, Connection
from conversion_relay.service.store.postgres.queries import QUERIES

SWEEP_LOCK: Final = 0x52454C4159_05
_MOMENT: Final = "50ms"


class Hindered(Exception):
    """Somebody else uses what is needed; nothing was done."""


@asynccontextmanager
async def briefly(connection: Connection) -> AsyncIterator[None]:
    """Waits only for a moment for each lock, inside a transaction, of which this is a part.

    Raises:
        Hindered: somebody else has one.
    """
    try:
        async with connection.transaction():
            await connection.execute(QUERIES["wait_for_locks"], _MOMENT)
            yield
            await connection.execute(QUERIES["wait_for_locks"], f"{COMMAND_SECONDS:g}s")
    except asyncpg.LockNotAvailableError as error:
        raise Hindered from error

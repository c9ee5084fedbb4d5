"""How much room the database takes. How much its disk has, nobody tells over a connection."""

from __future__ import annotations

from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES


async def sizes(connection: Connection) -> dict[str, int]:
    """Bytes of the database, and of the write-ahead log (0 for a role that may not ask)."""
    database: int = await connection.fetchval(QUERIES["database_size"])
    log: int = 0
    if await connection.fetchval(QUERIES["may_see_log"]):
        log = await connection.fetchval(QUERIES["log_size"])
    return {"database": database, "log": log}

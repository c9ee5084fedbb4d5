"""Whether a move into this database is under way: then nobody works with it."""

from __future__ import annotations

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.sql_files import read_queries

MOVING = read_queries(__package__, ["arriving.sql"])


async def require_whole(connection: Connection) -> None:
    """Refuse a database of which a part may be missing.

    Raises:
        ConfigurationError: a move into it was begun and is not finished.
    """
    if await connection.fetchval(MOVING["unfinished_move"]):
        raise ConfigurationError(
            "a move into this database is not finished: run the same `conversion-relay move` "
            "again, it goes on where it ended"
        )

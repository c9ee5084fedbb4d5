"""A connection that the server ends in the middle of something."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.postgres.connections import Connection, Connections
from support.postgres import new_database


async def test_whoever_had_it_is_told_that_the_store_is_unavailable() -> None:
    """It leaves the pool by itself, before what was done with it has ended."""
    url = await asyncio.to_thread(new_database)
    pool = await asyncpg.create_pool(url, min_size=0, max_size=2)
    connections = Connections(pool, 2)
    for work in (connections.run, connections.transact):
        with pytest.raises(StoreUnavailable) as told:
            await work(_be_ended)
        assert isinstance(told.value.__cause__, asyncpg.PostgresError), "what the server said"
    assert await connections.run(_one) == 1
    await connections.close()


async def _be_ended(connection: Connection) -> None:
    try:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    except asyncpg.PostgresError:
        async with asyncio.timeout(5):
            while not _has_left(connection):  # noqa: ASYNC110 - the driver does it
                await asyncio.sleep(0)
        raise


def _has_left(connection: Connection) -> bool:
    try:
        connection.is_closed()
    except asyncpg.InterfaceError:
        return True
    return False


async def _one(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT 1")
    return found

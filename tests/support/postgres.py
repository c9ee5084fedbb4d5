"""PostgreSQL from a wheel: a server of its own, and databases in it."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

import asyncpg

from conversion_relay.demo.postgres import Server
from conversion_relay.service.store.postgres.schema import migrate, migrations

_numbers = itertools.count(1)


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server of this process, gone with it.

    Args:
        durable: commits wait for the disk, which only tests of crashes need.
    """
    folder = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
    running = Server(folder, durable=durable)
    running.start()
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _shared() -> tuple[Server, str]:
    """The server of this process of the suite, and a database with our tables to copy."""
    running = ExitStack()
    atexit.register(running.close)
    own = running.enter_context(server())
    template = f"template_{os.getpid()}"
    asyncio.run(_execute(own.url("postgres"), f'CREATE DATABASE "{template}"'))
    asyncio.run(_prepare(own.url(template)))
    return own, template


def new_database() -> str:
    """The URL of a database with our tables, empty, gone with this process."""
    own, template = _shared()
    return fresh_database(own, template)


def fresh_database(running: Server, template: str = "template1") -> str:
    """The URL of a new database, empty or like another one."""
    name = f"relay_{os.getpid()}_{next(_numbers)}"
    create = f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'
    asyncio.run(_execute(running.url("postgres"), create))
    return running.url(name)


async def rows_of(url: str, *statements: str) -> list[asyncpg.Record]:
    """What the last of these statements gives."""
    async with connected(url) as connection:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetch(statements[-1])


@asynccontextmanager
async def open_transaction(url: str, *statements: str) -> AsyncIterator[None]:
    """Somebody else's transaction that did these statements and stays open."""
    async with connected(url) as connection:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        for statement in statements:
            await connection.execute(statement)
        yield
        await transaction.rollback()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of one's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _prepare(url: str) -> None:
    pool = asyncpg.create_pool(url, min_size=0)
    async with pool, pool.acquire() as connection, connection.transaction():
        await migrate(connection, migrations())


async def _execute(url: str, statement: str) -> None:
    async with connected(url) as connection:
        await connection.execute(statement)

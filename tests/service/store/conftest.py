"""The engines that keep the contract of the store's port, each with a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import apsw
import asyncpg
import pytest

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import SealedOriginals
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.postgres import Address
from conversion_relay.service.store.postgres import open_store as open_postgres
from conversion_relay.service.store.sqlite import open_store
from support.postgres import new_database

KEY = bytes(range(32))
ENGINES = ("sqlite", "postgres")
ORIGINALS = "SELECT first_event, last_event, sealed FROM originals"


class Engine(Protocol):
    """A database of one test."""

    async def open(self, *keys: bytes) -> Store:
        """A store over it; after the one before was closed, with what that kept.

        Args:
            keys: that seal and open; KEY alone where none is named.
        """
        ...

    async def originals(self) -> list[SealedOriginals]:
        """What stands in the database of originals, read past the store."""
        ...

    async def close(self) -> None:
        """Close whatever is open."""
        ...


@dataclass
class SqliteEngine:
    """A file in the test's folder."""

    path: Path
    opened: list[Store] = field(default_factory=list)

    async def open(self, *keys: bytes) -> Store:
        """See Engine."""
        store: Store = await open_store(self.path, Sealer(keys or [KEY]))
        self.opened.append(store)
        return store

    async def originals(self) -> list[SealedOriginals]:
        """See Engine."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        rows = cast("list[tuple[int, int, bytes]]", connection.execute(ORIGINALS).fetchall())
        connection.close()
        return [SealedOriginals(*row) for row in rows]

    async def close(self) -> None:
        """See Engine."""
        for store in self.opened:
            await store.close()


@dataclass
class PostgresEngine:
    """A database of the server that this process of the suite has."""

    url: str
    opened: list[Store] = field(default_factory=list)

    async def open(self, *keys: bytes) -> Store:
        """See Engine."""
        address = Address(self.url, weak_durability=True)
        store: Store = await open_postgres(address, Sealer(keys or [KEY]))
        self.opened.append(store)
        return store

    async def originals(self) -> list[SealedOriginals]:
        """See Engine."""
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch(ORIGINALS)
        await connection.close()
        return [SealedOriginals(*row) for row in rows]

    async def close(self) -> None:
        """See Engine."""
        for store in self.opened:
            await store.close()


def new_engine(kind: str, folder: Path) -> Engine:
    """One of ENGINES; not to be called inside an event loop."""
    if kind == "sqlite":
        return SqliteEngine(folder / "relay.db")
    return PostgresEngine(new_database())


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """Each engine in turn."""
    engine = await asyncio.to_thread(new_engine, request.param, tmp_path)
    yield engine
    await engine.close()


@pytest.fixture
async def store(engine: Engine) -> Store:
    """An empty store."""
    return await engine.open()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is, in folders that do not exist yet."""
    return tmp_path / "new" / "folder" / "relay.db"

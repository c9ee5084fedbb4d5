"""The engines that keep the contract of the store's port, each with a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.sqlite import open_store

KEY = bytes(range(32))


class Engine(Protocol):
    """A database of one test."""

    async def open(self) -> Store:
        """A store over it; after the one before was closed, with what that kept."""
        ...

    async def close(self) -> None:
        """Close whatever is open."""
        ...


@dataclass
class SqliteEngine:
    """A file in the test's folder."""

    path: Path
    opened: list[Store] = field(default_factory=list)

    async def open(self) -> Store:
        """See Engine."""
        store: Store = await open_store(self.path, Sealer([KEY]))
        self.opened.append(store)
        return store

    async def close(self) -> None:
        """See Engine."""
        for store in self.opened:
            await store.close()


@pytest.fixture(params=["sqlite"])
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """Each engine in turn."""
    engine = SqliteEngine(tmp_path / "relay.db")
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

"""From a URL to a store that can be trusted, or a refusal that says what to do.

Durable, newest schema, keys at hand. Reads no setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import asyncpg

from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres.connections import Connection, Connections
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.ingest import Ingest
from conversion_relay.service.store.postgres.keys import require_keys
from conversion_relay.service.store.postgres.memory import open_memory
from conversion_relay.service.store.postgres.moves import require_whole
from conversion_relay.service.store.postgres.pools import HOT, SLOW, Address, dial_of, open_pool
from conversion_relay.service.store.postgres.schema import migrate, migrations
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.postgres.writer import Limits, Writer

_MIGRATE_SECONDS: Final = 600.0
_SLOW: Final = 3
"""Connections for questions that may take long, so that they never keep events waiting."""
_DURABILITY: Final = ("synchronous_commit", "fsync", "full_page_writes")
_DURABLE: Final = {"on", "remote_apply"}
_OLDEST_RELEASE: Final = 14
_LOGIN: Final = (
    "the database server refuses the user or the password: correct the user in "
    "RELAY_DATABASE_URL, or give the password as RELAY_DATABASE_PASSWORD"
)
_REFUSALS: Final[Mapping[type[BaseException], str]] = {
    asyncpg.InvalidPasswordError: _LOGIN,
    asyncpg.InvalidAuthorizationSpecificationError: _LOGIN,
    asyncpg.InvalidCatalogNameError: "the database server has no database of that name: make it, "
    "or correct the name in RELAY_DATABASE_URL",
    asyncpg.InsufficientPrivilegeError: "the user may not make or use tables in the "
    "database: make it the owner (ALTER DATABASE … OWNER TO …), or grant it CONNECT on the "
    "database and USAGE, CREATE on its schema",
    asyncpg.ClientConfigurationError: "RELAY_DATABASE_URL is none that can be used: "
    "postgresql://user@host:port/database",
}
"""What the server or the driver says before anything was done, and what to do."""


async def open_store(
    address: Address,
    sealer: Sealer,
    node: str = "node",
    limits: Limits | None = None,
    commit_seconds: Callable[[float], object] = lambda _: None,
) -> PostgresStore:
    """The store in that database, whose tables are made when missing; the caller closes it.

    Args:
        address: of the database.
        sealer: with every key that sealed something that is still kept.
        node: what this node is called; no other has that name.
        limits: of what may wait and go together.
        commit_seconds: is told how long each commit took.

    Raises:
        ConfigurationError: a newer release wrote it, it is not durable, a key is not at hand, or a
            move into it is not finished.
        StoreUnavailable: it does not answer, or cannot be written.
    """
    database = Database(
        hot=await open_pool(address, address.connections, HOT),
        slow=await open_pool(address, _SLOW, SLOW),
        sealer=sealer,
        node=node,
        dial=dial_of(address),
    )
    try:
        with _refusals():
            await prepare(database.slow, address, sealer)
            await database.slow.run(require_whole)
            memory = await open_memory(database)
    except BaseException:
        await database.close()
        raise
    writer = Writer(Ingest(database, memory), limits or Limits(), commit_seconds)
    return PostgresStore(database, writer, memory)


async def prepare(connections: Connections, address: Address, sealer: Sealer) -> None:
    """Make sure that the database is durable, has the newest schema, and its keys are at hand.

    Raises:
        ConfigurationError: it cannot be so.
    """

    async def work(connection: Connection) -> None:
        await migrate(connection, migrations())
        await require_keys(connection, sealer)

    with _refusals():
        await connections.run(_require_able)
        if not address.weak_durability:
            await connections.run(_require_durable)
        await connections.transact(work, _MIGRATE_SECONDS)


@contextmanager
def _refusals() -> Iterator[None]:
    """Says what to do where the server told why it does not let us in."""
    try:
        yield
    except StoreUnavailable as error:
        for kind, words in _REFUSALS.items():
            if isinstance(error.__cause__, kind):
                raise ConfigurationError(words) from None
        raise


async def _require_able(connection: Connection) -> None:
    release, encoding = await _settings(connection, "server_version_num", "server_encoding")
    if int(release) < _OLDEST_RELEASE * 10_000:
        raise ConfigurationError(
            f"the database server is of PostgreSQL {int(release) // 10_000}, and {_OLDEST_RELEASE}"
            " or later is needed"
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database has server_encoding = {encoding}, which cannot keep every text: make "
            "one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
        )


async def _require_durable(connection: Connection) -> None:
    found = zip(_DURABILITY, await _settings(connection, *_DURABILITY), strict=True)
    weak = [f"{name} = {value}" for name, value in found if value not in _DURABLE]
    if weak:
        raise ConfigurationError(
            f"the database has {', '.join(weak)}, so that a crash can make it forget events that "
            "were acknowledged: set each to on, or accept it with weak_durability = true "
            "(RELAY_WEAK_DURABILITY)"
        )


async def _settings(connection: Connection, *names: str) -> list[str]:
    return [await connection.fetchval("SELECT current_setting($1)", name) for name in names]

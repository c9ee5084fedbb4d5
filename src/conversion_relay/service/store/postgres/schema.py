"""Bringing the database to the schema of this release, one node at a time. Knows no query.

All scripts that are missing run in one transaction, under a lock that all nodes know. While a
release is exchanged, nodes of the one before work beside the new schema: a script may add, and
only a later release may take away what the one before still uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.sql_files import Migration, read_migrations

_MIGRATIONS_LOCK: Final = 0x52454C4159_01
_VERSION: Final = "SELECT coalesce(max(version), 0) FROM schema_versions"
_VERSIONS: Final = (
    "CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, applied_at "
    "timestamptz NOT NULL DEFAULT now())"
)


def migrations() -> tuple[Migration, ...]:
    """The scripts of this release, in order."""
    return read_migrations(__package__)


async def migrate(connection: Connection, scripts: Sequence[Migration]) -> None:
    """Bring the database to the newest version, inside a transaction.

    Raises:
        ConfigurationError: a newer release wrote it.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATIONS_LOCK)
    await connection.execute(_VERSIONS)
    current: int = await connection.fetchval(_VERSION)
    newest = scripts[-1].version
    if current > newest:
        raise ConfigurationError(
            f"the database has schema {current}, this release knows schemas up to {newest}: "
            "a newer release wrote it; install that release or a later one"
        )
    for migration in scripts:
        if migration.version > current:
            await connection.execute(migration.script)
            await connection.execute(
                "INSERT INTO schema_versions (version) VALUES ($1)", migration.version
            )

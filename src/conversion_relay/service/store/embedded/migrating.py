"""Applying numbered scripts that build a schema. Knows none of them, and no query.

Which script was last is kept in `PRAGMA user_version`; each runs in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.store.embedded.connection import transaction
from conversion_relay.service.store.sql_files import Migration


def migrate(connection: apsw.Connection, scripts: Sequence[Migration]) -> None:
    """Bring the database to the newest version.

    Raises:
        ConfigurationError: a newer release wrote it.
        apsw.Error: a script failed; the database is as it was before that script.
    """
    current: int = connection.pragma("user_version")
    newest = scripts[-1].version
    if current > newest:
        raise ConfigurationError(
            f"the database has schema {current}, this release knows schemas up to {newest}: "
            "a newer release wrote it; install that release or a later one"
        )
    for migration in scripts:
        if migration.version > current:
            with transaction(connection):
                connection.execute(migration.script)
                connection.pragma("user_version", migration.version)

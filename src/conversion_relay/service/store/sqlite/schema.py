"""The numbered scripts that build the schema, and applying them. Knows no query.

Which script was last is kept in `PRAGMA user_version`; each runs in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import apsw

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.store.sqlite.connection import transaction


@dataclass(frozen=True, slots=True)
class Migration:
    """One script: what it makes of a database of the version before."""

    version: int
    script: str


def migrations() -> tuple[Migration, ...]:
    """The scripts of this release, in order."""
    folder = resources.files(__package__).joinpath("migrations")
    scripts = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return tuple(
        Migration(int(file.name.partition("_")[0]), file.read_text("utf-8"))
        for file in sorted(scripts, key=lambda file: file.name)
    )


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

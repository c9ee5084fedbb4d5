"""The numbered scripts that build the schema. Knows no query."""

from __future__ import annotations

from conversion_relay.service.store.embedded.migrating import migrate
from conversion_relay.service.store.sql_files import Migration, read_migrations

__all__ = ["Migration", "migrate", "migrations"]


def migrations() -> tuple[Migration, ...]:
    """The scripts of this release, in order."""
    return read_migrations(__package__)

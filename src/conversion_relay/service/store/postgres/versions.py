"""Configurations that were in effect, their content sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.store.past_rows import VersionRow, version_context
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.times import nearest_moment, to_microseconds

if TYPE_CHECKING:
    import asyncpg


async def keep_version(connection: Connection, version: VersionRecord, sealer: Sealer) -> int:
    """Keep a configuration, or what is said of a kept one; gives its id."""
    sealed = sealer.seal(version.content.encode(), version_context(version.fingerprint))
    row = (
        to_microseconds(version.since),
        version.cause,
        version.fingerprint,
        version.rolled_back,
        version.refused,
        sealed,
    )
    if version.id:
        number: int = await connection.fetchval(QUERIES["change_version"], *row, version.id)
    else:
        number = await connection.fetchval(QUERIES["keep_version"], *row)
    return number


async def versions(
    connection: Connection, limit: int, sealer: Sealer
) -> tuple[VersionRecord, ...]:
    """The newest, newest first; what is damaged is as good as none."""
    rows = await connection.fetch(QUERIES["versions"], limit)
    return tuple(_opened(rows, sealer))


async def version(connection: Connection, number: int, sealer: Sealer) -> VersionRecord | None:
    """The one with this id."""
    rows = await connection.fetch(QUERIES["version"], number)
    return next(_opened(rows, sealer), None)


async def seal_anew(connection: Connection, sealer: Sealer) -> None:
    """Seal all with the key that seals now, inside a transaction, so that no older one is needed.

    What cannot be opened is of no use to anybody, and goes.
    """
    for row in await connection.fetch(QUERIES["versions"], None):
        found = VersionRow(*row)
        if sealer.sealed_now(found.sealed):
            continue
        context = version_context(found.fingerprint)
        try:
            content = sealer.open(found.sealed, context)
        except SealingError:
            await connection.execute(QUERIES["remove_version"], found.id)
        else:
            sealed = sealer.seal(content, context)
            await connection.execute(QUERIES["seal_version_anew"], found.id, sealed)


def _opened(rows: Iterable[asyncpg.Record], sealer: Sealer) -> Iterator[VersionRecord]:
    for row in (VersionRow(*row) for row in rows):
        with suppress(SealingError):
            content = sealer.open(row.sealed, version_context(row.fingerprint))
            yield VersionRecord(
                id=row.id,
                since=nearest_moment(row.since),
                cause=row.cause,
                fingerprint=row.fingerprint,
                content=content.decode(),
                rolled_back=row.rolled_back,
                refused=row.refused,
            )

"""Configurations that were in effect, their content sealed. Knows no thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import cast

import apsw

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.store.past_rows import VersionRow, version_context
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import nearest_moment, to_microseconds

_ALL = -1


def keep_version(connection: apsw.Connection, version: VersionRecord, sealer: Sealer) -> int:
    """Keep a configuration, or what is said of a kept one, inside a transaction; gives its id."""
    given = {
        "id": version.id,
        "since": to_microseconds(version.since),
        "cause": version.cause,
        "fingerprint": version.fingerprint,
        "rolled_back": version.rolled_back,
        "refused": version.refused,
        "sealed": sealer.seal(version.content.encode(), version_context(version.fingerprint)),
    }
    number: int = connection.execute(QUERIES["keep_version"], given).get
    return number


def versions(connection: apsw.Connection, limit: int, sealer: Sealer) -> tuple[VersionRecord, ...]:
    """The newest, newest first; what is damaged is as good as none."""
    return tuple(_opened(_rows(connection, "versions", {"limit": limit}), sealer))


def version(connection: apsw.Connection, number: int, sealer: Sealer) -> VersionRecord | None:
    """The one with this id."""
    return next(_opened(_rows(connection, "version", {"id": number}), sealer), None)


def seal_anew(connection: apsw.Connection, sealer: Sealer) -> None:
    """Seal all with the key that seals now, inside a transaction, so that no older one is needed.

    What cannot be opened is of no use to anybody, and goes.
    """
    for row in _rows(connection, "versions", {"limit": _ALL}):
        if sealer.sealed_now(row.sealed):
            continue
        context = version_context(row.fingerprint)
        try:
            content = sealer.open(row.sealed, context)
        except SealingError:
            connection.execute(QUERIES["remove_version"], {"id": row.id})
        else:
            given = {"id": row.id, "sealed": sealer.seal(content, context)}
            connection.execute(QUERIES["seal_version_anew"], given)


def _rows(connection: apsw.Connection, query: str, asked: dict[str, int]) -> list[VersionRow]:
    rows = connection.execute(QUERIES[query], asked).fetchall()
    found = cast("list[tuple[int, int, str, str, str | None, str | None, bytes]]", rows)
    return [VersionRow(*row) for row in found]


def _opened(rows: Iterable[VersionRow], sealer: Sealer) -> Iterator[VersionRecord]:
    for row in rows:
        with suppress(SealingError):
            yield VersionRecord(
                id=row.id,
                since=nearest_moment(row.since),
                cause=row.cause,
                fingerprint=row.fingerprint,
                content=sealer.open(row.sealed, version_context(row.fingerprint)).decode(),
                rolled_back=row.rolled_back,
                refused=row.refused,
            )

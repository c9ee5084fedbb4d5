"""Removing what has outlived its retention, a bounded piece at a time. Knows no thread.

Each function is one short piece of work inside a transaction. A chunk of originals goes with the
last of its events; one of which only some went is marked, to be sealed anew without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

import apsw
import orjson

from conversion_relay.service.store.embedded.connection import INCREMENTAL
from conversion_relay.service.store.originals import SealedOriginals, Thinnable
from conversion_relay.service.store.port import Disposition, Retention, Swept
from conversion_relay.service.store.rounds import BEGINNING, Place, Round, kept_for
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

_LOOKED_AT_ONCE: Final = 500
_THINNED_AT_ONCE: Final = 4
_PAGES_AT_ONCE: Final = 128
_WORTHWHILE_BYTES: Final = 16 * 1024 * 1024
_WORTHWHILE_SHARE: Final = 4  # a quarter of the file


def remove_outlived(
    connection: apsw.Connection, retention: Retention, now: datetime, so_far: Round
) -> tuple[Swept, Round]:
    """Look at the next old events, and remove those that nothing holds back."""
    removed = 0
    for disposition in Disposition:
        looked, place, events = _outlived(connection, disposition, retention, now, so_far)
        if looked:
            remove(connection, events)
            so_far = so_far.after(disposition, place)
            removed += len(events)
        if looked == _LOOKED_AT_ONCE:
            return Swept(events=removed, is_done=False), so_far
    return Swept(events=removed), so_far


def to_thin(connection: apsw.Connection) -> tuple[Thinnable, ...]:
    """Some of the chunks that hold more than they should; needs no transaction."""
    found = connection.execute(QUERIES["to_thin"], {"limit": _THINNED_AT_ONCE}).fetchall()
    return tuple(
        Thinnable(SealedOriginals(first, last, sealed), frozenset(orjson.loads(left)))
        for first, last, sealed, left in cast("list[tuple[int, int, bytes, str]]", found)
    )


def keep_thinned(
    connection: apsw.Connection, results: Sequence[tuple[Thinnable, bytes | None]]
) -> None:
    """Put these in the place of what was sealed before; without bytes, leave it as it is."""
    for old, sealed in results:
        first = {"first_event": old.chunk.first_event}
        if sealed is not None:
            given = {**first, "sealed": sealed, "left": len(old.left)}
            connection.execute(QUERIES["keep_thinned"], given)
        if sealed is None or connection.changes():
            connection.execute(QUERIES["unmark_to_thin"], first)


def give_back(connection: apsw.Connection) -> Swept:
    """Cut some free pages off the file, when many are free; not from one that cannot shrink."""
    page_bytes: int = connection.pragma("page_size")
    if connection.pragma("auto_vacuum") != INCREMENTAL or not _worthwhile(connection, page_bytes):
        return Swept()
    before: int = connection.pragma("page_count")
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
    after: int = connection.pragma("page_count")
    return Swept(freed_bytes=(before - after) * page_bytes, is_done=before == after)


def _worthwhile(connection: apsw.Connection, page_bytes: int) -> bool:
    free: int = connection.pragma("freelist_count")
    pages: int = connection.pragma("page_count")
    return free * page_bytes > _WORTHWHILE_BYTES and free * _WORTHWHILE_SHARE > pages


def _outlived(
    connection: apsw.Connection,
    disposition: Disposition,
    retention: Retention,
    now: datetime,
    so_far: Round,
) -> tuple[int, Place, list[int]]:
    """How many events were looked at, the last of them, and the ids of those that may go."""
    received_at, last = so_far.passed.get(disposition, BEGINNING)
    bounds = {
        "disposition": disposition.value,
        "received_at": received_at,
        "id": last,
        "latest": to_microseconds(now - kept_for(disposition, retention)),
        "latest_dead": to_microseconds(now - retention.dead_letters),
        "limit": _LOOKED_AT_ONCE,
    }
    looked, received_at, last, events = connection.execute(QUERIES["outlived"], bounds).get
    return looked, (received_at, last), orjson.loads(events)


def remove(connection: apsw.Connection, events: Sequence[int]) -> None:
    """These events go; chunks that still hold bytes of them are marked."""
    gone = {"events": orjson.dumps(events).decode()}
    connection.execute(QUERIES["remove_attempts"], gone)
    connection.execute(QUERIES["remove_deliveries"], gone)
    connection.execute(QUERIES["remove_events"], gone)
    chunks = {"chunks": connection.execute(QUERIES["chunks_of"], gone).get}
    connection.execute(QUERIES["remove_originals"], chunks)
    connection.execute(QUERIES["mark_to_thin"], chunks)

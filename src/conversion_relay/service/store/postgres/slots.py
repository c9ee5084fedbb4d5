"""Moving the ledger on to another slot, and dropping those that are too old. Knows no key.

New ids go into the table of the current slot. After half of its retention another takes its place;
one that was left is dropped once even its last id is old enough, so nothing is ever deleted there
row by row. Whoever keeps events shares a lock, and whoever moves on holds it alone: so a key is
unique over all slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from conversion_relay.service.store.port import Swept
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.ledger import LEDGER_LOCK
from conversion_relay.service.store.postgres.locks import Hindered, briefly
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

_IN_TURN: Final = 2
"""Slots that share the retention."""
_COUNTED_ROWS: Final = 1_000_000
"""Of more than these only vacuum's estimate is told: counting would take long."""


class Slot(NamedTuple):
    """One table of the ledger, times in microseconds.

    Attributes:
        since: when it became the current one; None until the first sweep sees it.
        left_at: when another did; None of the current one.
    """

    number: int
    since: int | None
    left_at: int | None


def outlived(slots: Sequence[Slot], latest: int) -> Slot | None:
    """The oldest slot into which nothing went after this time.

    Its own time may be that of a clock that was ahead; then that of a later one says so.
    """
    left = [slot for slot in slots if slot.left_at is not None]
    for slot in left:
        times = (one.left_at for one in left if one.number >= slot.number)
        if any(time is not None and time <= latest for time in times):
            return slot
    return None


async def turn(connection: Connection, retention: timedelta, now: datetime) -> Swept:
    """One short step: an old slot goes, or another becomes the current one; else nothing."""
    slots = [Slot(*row) for row in await connection.fetch(QUERIES["ledger_slots"])]
    at = to_microseconds(now)
    old = outlived(slots, to_microseconds(now - retention))
    if old is not None:
        return await _drop(connection, old.number)
    current = slots[-1]
    if current.since is None:
        await connection.execute(QUERIES["look_at_slot"], current.number, at)
    elif current.since <= to_microseconds(now - retention / _IN_TURN):
        await _move_on(connection, current.number, at)
    return Swept()


async def _move_on(connection: Connection, slot: int, at: int) -> None:
    """Later, when somebody is in the way."""
    following = f"ledger_{slot + 1}"
    try:
        async with briefly(connection):
            await connection.execute(QUERIES["lock_ledger"], LEDGER_LOCK)
            await connection.execute(
                f"CREATE TABLE {following} (LIKE ledger INCLUDING ALL);"
                f"ALTER TABLE ledger ATTACH PARTITION {following} FOR VALUES IN ({slot + 1})"
            )
            await connection.execute(QUERIES["leave_slot"], slot, at)
            await connection.execute(QUERIES["enter_slot"], slot + 1, at)
    except Hindered:
        return


async def _drop(connection: Connection, slot: int) -> Swept:
    """Gives how many ids that were, of very many about; later, when somebody is in the way."""
    table = f"ledger_{slot}"
    entries: int = await connection.fetchval(QUERIES["rows_about"], table)
    if entries < _COUNTED_ROWS:
        entries = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
    freed: int = await connection.fetchval(QUERIES["sizes_of"], [table])
    try:
        async with briefly(connection):
            await connection.execute("LOCK TABLE ONLY ledger IN ACCESS EXCLUSIVE MODE")
            await connection.execute(f"DROP TABLE {table}")
            await connection.execute(QUERIES["forget_slot"], slot)
    except Hindered:
        return Swept()
    return Swept(ledger_entries=entries, freed_bytes=freed, is_done=False)

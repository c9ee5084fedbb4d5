"""The days in which everything of an event lies, and the partitions of each. Knows no clock.

An id names its day: see `migrations/0001_initial.sql`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.times import to_microseconds

NUMBER_BITS: Final = 36
_DAY_MICROSECONDS: Final = 86_400_000_000
_PARTITIONS_LOCK: Final = 0x52454C4159_02
_SOON_CLEARED: Final = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, "
    "autovacuum_vacuum_cost_delay = 0"
)
_CHANGED: Final = f"fillfactor = 70, {_SOON_CLEARED}"
_INSERTED: Final = "autovacuum_vacuum_insert_scale_factor = 0.2"
PARTITIONED: Final = {
    "events": _INSERTED,
    "originals": _INSERTED,
    "event_subjects": _INSERTED,
    "deliveries": _CHANGED,
    "bodies": _SOON_CLEARED,
    "attempts": _INSERTED,
}
"""The tables with a partition for each day, and how these are kept."""


def day_of(moment: datetime) -> int:
    """The day in UTC, counted from 1970; no moment before that is kept."""
    return day_at(to_microseconds(moment))


def day_at(microseconds: int) -> int:
    """The same of a moment as it is kept."""
    return max(0, microseconds // _DAY_MICROSECONDS)


def day_of_id(number: int) -> int:
    """The day that an id names."""
    return number >> NUMBER_BITS


def first_id(day: int) -> int:
    """The smallest id of the day."""
    return day << NUMBER_BITS


def partition(table: str, day: int) -> str:
    """What the table's partition of the day is called."""
    return f"{table}_{day}"


async def make_days(connection: Connection, days: Collection[int]) -> None:
    """Make the partitions of these days, as far as they are missing, inside a transaction.

    Each is made apart and attached then: making it in place would wait for everybody who uses the
    table, and keep everybody else waiting meanwhile.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _PARTITIONS_LOCK)
    for day in sorted(days):
        if await connection.fetchval("SELECT 1 FROM days WHERE day = $1", day):
            continue
        for table, options in PARTITIONED.items():
            name = partition(table, day)
            await connection.execute(
                f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH ({options})"
            )
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name} "
                f"FOR VALUES FROM ({first_id(day)}) TO ({first_id(day + 1)})"
            )
        await connection.execute("INSERT INTO days VALUES ($1)", day)

"""Days of which nothing or little has to stay: dropped or emptied as a whole.

What is dropped is neither deleted row by row nor vacuumed. It takes locks that keep everybody out,
so it is done in a moment, or at a later time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.days import PARTITIONED, day_of, first_id, partition
from conversion_relay.service.store.postgres.locks import Hindered, briefly
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

MANY_EVENTS: Final = 20_000
"""Fewer are as well deleted one by one."""
_FEW_DELIVERIES: Final = 500
"""Theirs is what is written anew while others wait, with a chunk of originals for each: some tens
of MiB at most, which takes some tenths of a second."""
_STAYING: Final = {
    "events": "SELECT * FROM events_N WHERE id IN (SELECT event FROM staying)",
    "deliveries": "SELECT * FROM deliveries_N WHERE event IN (SELECT event FROM staying)",
    "bodies": "SELECT * FROM bodies_N WHERE delivery IN (SELECT id FROM staying_deliveries)",
    "attempts": "SELECT * FROM attempts_N WHERE delivery IN (SELECT id FROM staying_deliveries)",
    "event_subjects": "SELECT * FROM event_subjects_N WHERE first_event IN ("
    "SELECT (SELECT max(first_event) FROM event_subjects_N WHERE first_event <= event) "
    "FROM staying)",
    "originals": "SELECT first_event, last_event, sealed, true AS thin FROM originals_N "
    "WHERE first_event IN ("
    "SELECT (SELECT max(first_event) FROM originals_N WHERE first_event <= event) FROM staying)",
}
"""What stays of each table, the later ones for what stays of the earlier ones."""
_HOLDING: Final = (
    "SELECT event FROM deliveries_N WHERE due_at IS NOT NULL "
    "UNION SELECT event FROM deliveries_N WHERE state = 'held' "
    "UNION SELECT event FROM deliveries_N WHERE state IN ('dead', 'uncertain', 'suppressed') "
    "AND coalesce(settled_at, accepted_at) > "
)


class Day(NamedTuple):
    """How much of an old day there is.

    Attributes:
        waiting: deliveries that are pending, claimed or held.
        undelivered: those that ended without having been delivered.
    """

    number: int
    events: int
    waiting: int
    undelivered: int

    @property
    def tables(self) -> list[str]:
        """Its partitions."""
        return [partition(table, self.number) for table in PARTITIONED]

    def can_be_emptied(self, many_events: int) -> bool:
        """Whether few events have to stay, and so many or more can go."""
        few = self.waiting + self.undelivered
        return few <= _FEW_DELIVERIES and self.events - few >= many_events


async def remove_days(
    connection: Connection, retention: Retention, now: datetime, many_events: int = MANY_EVENTS
) -> Swept:
    """One step: the oldest day of which all or nearly all can go, goes; inside a transaction.

    Args:
        connection: in a transaction.
        retention: how long what is kept.
        now: the present, aware.
        many_events: so many at least are worth writing anew what stays of their day.
    """
    first_kept = day_of(now - max(retention.events, retention.unmatched))
    latest_dead = to_microseconds(now - retention.dead_letters)
    for day in await _old_days(connection, first_kept):
        is_free = await _is_free(connection, day, latest_dead)
        if not is_free and not day.can_be_emptied(many_events):
            continue
        if await connection.fetchval(QUERIES["looked_after"], day.tables):
            continue  # it would have to be waited for
        try:
            async with briefly(connection):
                if is_free:
                    return await _drop(connection, day, latest_dead)
                return await _empty(connection, day, latest_dead, many_events)
        except Hindered:
            return Swept()
    return Swept()


async def _old_days(connection: Connection, before: int) -> Sequence[Day]:
    return [Day(*row) for row in await connection.fetch(QUERIES["old_days"], before)]


async def _is_free(connection: Connection, day: Day, latest_dead: int) -> bool:
    """Whether nothing of it has to stay."""
    if day.waiting or not day.undelivered:
        return not day.waiting
    ids = first_id(day.number), first_id(day.number + 1)
    return not await connection.fetchval(QUERIES["has_dead_letters"], *ids, latest_dead)


async def _drop(connection: Connection, seen: Day, latest_dead: int) -> Swept:
    """Nobody reads or writes a day from here on; what was seen of it may have changed before."""
    await connection.execute(f"LOCK TABLE ONLY {', ONLY '.join(PARTITIONED)}")
    (day,) = [one for one in await _old_days(connection, seen.number + 1) if one[0] == seen[0]]
    if not await _is_free(connection, day, latest_dead):
        raise Hindered
    freed: int = await connection.fetchval(QUERIES["sizes_of"], day.tables)
    await connection.execute(f"DROP TABLE {', '.join(day.tables)}")
    await _forget_counts(connection, day)
    await connection.execute(QUERIES["forget_day"], day.number)
    return Swept(events=day.events, freed_bytes=freed, is_done=False)


async def _empty(connection: Connection, seen: Day, latest_dead: int, many_events: int) -> Swept:
    """What stays is put aside, and back again once all else is gone."""
    await connection.execute(f"LOCK TABLE {', '.join(seen.tables)}")
    (day,) = [one for one in await _old_days(connection, seen.number + 1) if one[0] == seen[0]]
    if not day.can_be_emptied(many_events):
        raise Hindered
    freed: int = await connection.fetchval(QUERIES["sizes_of"], day.tables)
    await connection.execute(QUERIES["read_by_index"])
    await _put_aside(connection, day, latest_dead)
    await connection.execute(QUERIES["read_as_planned"])
    await connection.execute(f"TRUNCATE {', '.join(day.tables)}")
    await _forget_counts(connection, day)
    for table in _STAYING:
        await connection.execute(f"INSERT INTO {table} SELECT * FROM staying_{table}")  # noqa: S608
        await connection.execute(f"DROP TABLE staying_{table}")
    left: int = await connection.fetchval("SELECT count(*) FROM staying")
    await connection.execute("DROP TABLE staying")
    now: int = await connection.fetchval(QUERIES["sizes_of"], day.tables)
    return Swept(events=day.events - left, freed_bytes=freed - now, is_done=False)


async def _put_aside(connection: Connection, day: Day, latest_dead: int) -> None:
    """What stays of its tables, in tables that end with the transaction."""
    holding = f"{_HOLDING}{latest_dead}"
    for name, query in {"staying": holding, **_STAYING}.items():
        table = name if name == "staying" else f"staying_{name}"
        text = query.replace("_N", f"_{day.number}")
        await connection.execute(f"CREATE TEMP TABLE {table} ON COMMIT DROP AS {text}")


async def _forget_counts(connection: Connection, day: Day) -> None:
    await connection.execute(QUERIES["forget_event_counts"], day.number)
    await connection.execute(QUERIES["forget_delivery_counts"], day.number)

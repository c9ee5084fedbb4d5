"""Removing events that have outlived their retention, a bounded piece at a time.

Each function is one short piece of work inside a transaction. Locks are taken in the order chunk,
events, deliveries, each by their ids, as whoever forgets users takes them. A chunk of originals
goes with the last of its events; one of which only some went is marked, to be sealed anew without
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import SealedOriginals, Thinnable, thin_all
from conversion_relay.service.store.port import Disposition, Retention, Swept
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.days import day_of, day_of_id, first_id
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.rounds import BEGINNING, Round, kept_for
from conversion_relay.service.store.times import nearest_moment, to_microseconds

_LOOKED_AT_ONCE: Final = 500
_THINNED_AT_ONCE: Final = 4


async def remove_outlived(
    connection: Connection, retention: Retention, now: datetime, so_far: Round
) -> tuple[Swept, Round]:
    """Look at the next old events, and remove those that nothing holds back."""
    latest_dead = to_microseconds(now - retention.dead_letters)
    removed = 0
    for disposition in Disposition:
        latest = now - kept_for(disposition, retention)
        after = so_far.passed.get(disposition, BEGINNING)
        day = day_of(nearest_moment(after[0]))
        rows = await connection.fetch(
            QUERIES["outlived"],
            disposition.value,
            *after,
            to_microseconds(latest),
            first_id(day),
            first_id(day_of(latest) + 1),
            _LOOKED_AT_ONCE,
        )
        if rows:
            last, received_at = rows[-1]
            so_far = so_far.after(disposition, (received_at, last))
            removed += await _remove(connection, sorted(one for one, _ in rows), latest_dead)
        if len(rows) == _LOOKED_AT_ONCE:
            return Swept(events=removed, is_done=False), so_far
    return Swept(events=removed), so_far


async def thin(connection: Connection, sealer: Sealer) -> Swept:
    """Seal some chunks anew that hold more than they should.

    One that is damaged, which nobody can read anyway, stays as it is.
    """
    rows = await connection.fetch(QUERIES["lock_thin"], _THINNED_AT_ONCE)
    if not rows:
        return Swept()
    chunks = [SealedOriginals(*row) for row in rows]
    bounds = [one.first_event for one in chunks], [one.last_event for one in chunks]
    left: dict[int, set[int]] = {first: set() for first in bounds[0]}
    for first, event in await connection.fetch(QUERIES["left_in_chunks"], *bounds, []):
        left[first].add(event)
    found = [Thinnable(one, frozenset(left[one.first_event])) for one in chunks]
    results = await asyncio.to_thread(thin_all, [one for one in found if one.left], sealer)
    sealed = [(one.chunk.first_event, value or one.chunk.sealed) for one, value in results]
    if sealed:
        await connection.execute(QUERIES["keep_thinned"], *zip(*sealed, strict=True))
    await _remove_chunks(connection, [first for first, events in left.items() if not events])
    return Swept(is_done=False)


async def _remove(connection: Connection, events: Sequence[int], latest_dead: int) -> int:
    """Those of these events go that nothing holds back; gives how many that were."""
    held = await _held_back(connection, events, latest_dead)
    asked = [event for event in events if event not in held]
    if not asked:
        return 0
    chunk_of = dict[int, int](map(tuple, await connection.fetch(QUERIES["chunks_of"], asked)))
    await connection.execute(QUERIES["lock_chunks"], sorted(set(chunk_of.values())))
    await connection.execute(QUERIES["lock_events"], asked)
    between = _deliveries_between(asked)
    await connection.execute(QUERIES["lock_deliveries_of"], asked, *between)
    held = await _held_back(connection, asked, latest_dead)  # somebody may have been faster
    gone = [event for event in asked if event not in held]
    if gone:
        await _remove_events(connection, gone)
        await _after(connection, sorted({chunk_of[one] for one in gone if one in chunk_of}))
    return len(gone)


async def _held_back(
    connection: Connection, events: Sequence[int], latest_dead: int
) -> frozenset[int]:
    between = _deliveries_between(events)
    rows = await connection.fetch(QUERIES["held_back"], events, *between, latest_dead)
    return frozenset(event for (event,) in rows)


async def _remove_events(connection: Connection, events: Sequence[int]) -> None:
    rows = await connection.fetch(
        QUERIES["lock_deliveries_of"], events, *_deliveries_between(events)
    )
    deliveries = [number for number, _ in rows]
    for query in ("erase_attempts", "erase_bodies", "erase_deliveries"):
        await connection.execute(QUERIES[query], deliveries)
    await connection.execute(QUERIES["erase_events"], events)


async def _after(connection: Connection, chunks: Sequence[int]) -> None:
    """Of these chunks events went."""
    emptied = [one for (one,) in await connection.fetch(QUERIES["emptied_chunks"], chunks)]
    await _remove_chunks(connection, emptied)
    await connection.execute(QUERIES["mark_to_thin"], sorted(set(chunks) - set(emptied)))


async def _remove_chunks(connection: Connection, chunks: Sequence[int]) -> None:
    await connection.execute(QUERIES["erase_originals"], chunks)
    await connection.execute(QUERIES["erase_subjects"], chunks)


def _deliveries_between(events: Sequence[int]) -> tuple[int, int]:
    """Where the ids of the deliveries of these events lie: the second is beyond the last."""
    return first_id(day_of_id(min(events))), first_id(day_of_id(max(events)) + 1)

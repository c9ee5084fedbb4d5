"""Which events are of certain users, and removing them whole: one short piece of work each.

Looking needs no transaction. Erasing does, and takes its locks in the order chunk, events,
deliveries, hashes, each by their ids, so that neither nodes nor the sweep wait for each other in a
circle. What is sealed anew holds what is left of a chunk while nobody else can take out of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.delivery import State
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import SealedOriginals, Thinnable, thin_all
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.days import day_of_id, first_id
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import optionally_kept
from conversion_relay.service.store.searching import Asked
from conversion_relay.service.store.subjects import (
    NOBODY_MARK,
    UNTOLD_MARK,
    events_marked,
    without,
)

_CHUNKS_LOOKED_AT: Final = 500
"""Some milliseconds, in which others do not have the interpreter."""
_EVENTS_AT_ONCE: Final = 200
_CHUNKS_AT_ONCE: Final = 8
"""Sealed anew in one transaction: some hundred KiB each."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was found in one look; ids of events, in order.

    Attributes:
        events: of the users.
        unread: those in quarantine of which it is not known whose they are.
        untold: those of which only their originals tell.
        following: after which chunk the next look begins; None: there is nothing more.
    """

    events: tuple[int, ...]
    unread: tuple[int, ...]
    untold: tuple[int, ...]
    following: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some events to erase, each with the first event of its chunk where that is kept."""

    events: tuple[int, ...]
    chunks: Mapping[int, int]


async def newest_chunk(connection: Connection) -> int:
    """The newest chunk there is; -1 of an empty store."""
    newest: int = await connection.fetchval(QUERIES["newest_subjects"])
    return newest


async def next_events(connection: Connection, asked: Asked, after: int) -> Stretch:
    """What hashes say of the chunks that come after this one."""
    given = (after, asked.last, _CHUNKS_LOOKED_AT)
    rows = await connection.fetch(QUERIES["next_subjects"], *given)
    chunks = [(first, len(hashes)) for first, hashes in rows]
    hashes = b"".join(hashes for _, hashes in rows)
    marked = events_marked(chunks, hashes, asked.marks | {NOBODY_MARK, UNTOLD_MARK})
    source = optionally_kept(asked.source)
    found = await connection.fetch(QUERIES["of_source"], list(marked), source)
    ids = [event for (event,) in found]
    theirs = tuple(event for event in ids if marked[event] & asked.marks)
    others = [event for event in ids if not marked[event] & asked.marks]
    return Stretch(
        theirs,
        unread=tuple(event for event in others if NOBODY_MARK in marked[event]),
        untold=tuple(event for event in others if NOBODY_MARK not in marked[event]),
        following=rows[-1][0] if len(rows) == _CHUNKS_LOOKED_AT else None,
    )


async def chunks_with(
    connection: Connection, events: Sequence[int]
) -> tuple[SealedOriginals, ...]:
    """The chunks that hold these events, in order."""
    firsts = {first for _, first in await connection.fetch(QUERIES["chunks_of"], events)}
    rows = await connection.fetch(QUERIES["originals_at"], sorted(firsts))
    return tuple(SealedOriginals(*row) for row in rows)


async def what_is_kept(connection: Connection, events: Sequence[int]) -> Forgotten:
    """Of these events."""
    ((count, originals),) = await connection.fetch(QUERIES["what_is_kept"], events)
    rows = await connection.fetch(QUERIES["states_of"], events, *_deliveries_between(events))
    return Forgotten(count, originals, {State(state): total for state, total in rows})


async def piece_of(connection: Connection, events: Sequence[int]) -> Piece:
    """As many of these events, from the first on, as can go at once."""
    asked = events[:_EVENTS_AT_ONCE]
    found = await connection.fetch(QUERIES["chunks_of"], asked)
    chunk_of: dict[int, int] = {row[0]: row[1] for row in found}
    taken: list[int] = []
    chunks: set[int] = set()
    for event in asked:
        chunks |= {chunk_of[event]} if event in chunk_of else set()
        if len(chunks) > _CHUNKS_AT_ONCE:
            break
        taken.append(event)
    return Piece(tuple(taken), {one: chunk_of[one] for one in taken if one in chunk_of})


async def erase(connection: Connection, piece: Piece, sealer: Sealer) -> Forgotten:
    """Remove the events with all that belongs to them, inside a transaction."""
    rows = await connection.fetch(QUERIES["lock_originals"], sorted(set(piece.chunks.values())))
    chunks = [SealedOriginals(*row) for row in rows]
    left = await _left(connection, chunks, piece.events)
    results = await asyncio.to_thread(thin_all, [one for one in left if one.left], sealer)
    there = {event for (event,) in await connection.fetch(QUERIES["lock_events"], piece.events)}
    states = await _erase_deliveries(connection, piece.events)
    await connection.execute(QUERIES["erase_events"], piece.events)
    emptied = [one.chunk.first_event for one in left if not one.left]
    await connection.execute(QUERIES["erase_originals"], emptied)
    await connection.execute(QUERIES["erase_subjects"], emptied)
    sealed = [(one.chunk.first_event, value or one.chunk.sealed) for one, value in results]
    if sealed:
        await connection.execute(QUERIES["keep_thinned"], *zip(*sealed, strict=True))
    await _empty_hashes(connection, [one.chunk.first_event for one, _ in results], piece.events)
    firsts = {chunk.first_event for chunk in chunks}
    originals = sum(piece.chunks.get(event) in firsts for event in there)
    return Forgotten(len(there), originals, states)


async def _left(
    connection: Connection, chunks: Sequence[SealedOriginals], gone: Sequence[int]
) -> list[Thinnable]:
    """What is left of each chunk once these events are gone."""
    bounds = [(one.first_event, one.last_event) for one in chunks]
    firsts, lasts = zip(*bounds, strict=True) if bounds else ((), ())
    rows = await connection.fetch(QUERIES["left_in_chunks"], firsts, lasts, gone)
    left: dict[int, set[int]] = {one.first_event: set() for one in chunks}
    for first_event, event in rows:
        left[first_event].add(event)
    return [Thinnable(one, frozenset(left[one.first_event])) for one in chunks]


async def _erase_deliveries(connection: Connection, events: Sequence[int]) -> Mapping[State, int]:
    """Gives how many there were in each state."""
    bounds = _deliveries_between(events)
    rows = await connection.fetch(QUERIES["lock_deliveries_of"], events, *bounds)
    deliveries = [number for number, _ in rows]
    for query in ("erase_attempts", "erase_bodies", "erase_deliveries"):
        await connection.execute(QUERIES[query], deliveries)
    return Counter(State(state) for _, state in rows)


async def _empty_hashes(
    connection: Connection, chunks: Sequence[int], events: Iterable[int]
) -> None:
    """Nothing stands any more where these events stood in the hashes of these chunks."""
    gone = frozenset(events)
    rows = await connection.fetch(QUERIES["lock_hashes"], chunks)
    changed = [(first, without(first, hashes, gone)) for first, hashes in rows]
    if changed:
        await connection.execute(QUERIES["change_hashes"], *zip(*changed, strict=True))


def _deliveries_between(events: Sequence[int]) -> tuple[int, int]:
    """Where the ids of the deliveries of these events lie: the second is beyond the last."""
    return first_id(day_of_id(min(events))), first_id(day_of_id(max(events)) + 1)

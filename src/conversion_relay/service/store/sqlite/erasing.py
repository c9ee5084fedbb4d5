"""Which events are of certain users, and removing them whole. Knows no thread.

Each function is one short piece of work: looking needs no transaction, erasing does. Events have a
hash of whose they are; of older ones, and of those in quarantine that could not be read, the
originals are looked through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.service.store.originals import SealedOriginals, Thinnable
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.searching import Asked
from conversion_relay.service.store.sqlite import removal
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.subjects import NOBODY_MARK, events_marked, without

_STRETCH_EVENTS: Final = 25_000
"""Some milliseconds, in which others do not have the interpreter."""
_EVENTS_AT_ONCE: Final = 200
_CHUNKS_AT_ONCE: Final = 8
"""Sealed anew and written in one transaction: some hundred KiB each."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was found in one look.

    Attributes:
        events: ids of events of the users, in order.
        unread: the same of those in quarantine of which it is not known whose they are.
        following: where the next look begins; None: there is nothing more.
    """

    events: tuple[int, ...]
    unread: tuple[int, ...]
    following: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some events to erase, and the chunks that hold others besides."""

    events: tuple[int, ...]
    shared: tuple[Thinnable, ...]


def newest_event(connection: apsw.Connection) -> int:
    """The id of the newest event there ever was."""
    following: int = connection.execute(QUERIES["next_event"]).get
    return following - 1


def next_events(connection: apsw.Connection, asked: Asked, first: int) -> Stretch:
    """What hashes say of the next stretch of events, from `first` on."""
    found = connection.execute(QUERIES["first_subjects"], {"first": first}).get
    if found is None or found > asked.last:
        return Stretch((), (), None)
    last = min(found + _STRETCH_EVENTS - 1, asked.last)
    given = {"first": found, "last": last}
    chunks, hashes = connection.execute(QUERIES["hashes_between"], given).get
    marked = events_marked(orjson.loads(chunks), hashes, asked.marks | {NOBODY_MARK})
    kept = {"events": _list(sorted(marked)), "source": asked.source}
    ids: list[int] = orjson.loads(connection.execute(QUERIES["of_source"], kept).get)
    theirs = tuple(event for event in ids if marked[event] & asked.marks)
    unread = tuple(event for event in ids if not marked[event] & asked.marks)
    return Stretch(theirs, unread, last + 1)


def next_chunks(connection: apsw.Connection, after: int, last: int) -> tuple[SealedOriginals, ...]:
    """Some chunks of originals that begin in this stretch of events."""
    given = {"first": after + 1, "last": last, "limit": _CHUNKS_AT_ONCE}
    return _chunks(connection.execute(QUERIES["chunks_between"], given).fetchall())


def chunks_of(connection: apsw.Connection, events: Sequence[int]) -> tuple[SealedOriginals, ...]:
    """The chunks that hold these events, not too many of them."""
    rows = connection.execute(QUERIES["originals_of_events"], _events(events))
    return _chunks(rows.fetchall())


def piece_of(connection: apsw.Connection, events: Sequence[int]) -> Piece:
    """As many of these events, from the first on, as can go at once."""
    chunks: list[int] = []
    taken: list[int] = []
    for event in events[:_EVENTS_AT_ONCE]:
        (first,) = orjson.loads(
            connection.execute(QUERIES["chunks_of"], _events([event])).get
        ) or (None,)
        if first is not None and first not in chunks:
            if len(chunks) == _CHUNKS_AT_ONCE:
                break
            chunks.append(first)
        taken.append(event)
    given = {"events": _list(taken), "chunks": _list(chunks)}
    rows = connection.execute(QUERIES["chunks_left"], given).fetchall()
    shared = tuple(
        Thinnable(SealedOriginals(first, last, sealed), frozenset(orjson.loads(left)))
        for first, last, sealed, left in cast("list[tuple[int, int, bytes, str]]", rows)
        if left != "[]"
    )
    return Piece(tuple(taken), shared)


def still_held(connection: apsw.Connection, shared: Sequence[Thinnable]) -> tuple[Thinnable, ...]:
    """Those of these chunks that another change kept from being sealed anew, as they are now."""
    given = {"chunks": _list([one.chunk.first_event for one in shared])}
    marked: str = connection.execute(QUERIES["marked_to_thin"], given).get
    rows = connection.execute(QUERIES["chunks_left"], {"events": "[]", "chunks": marked})
    return tuple(
        Thinnable(SealedOriginals(first, last, sealed), frozenset(orjson.loads(left)))
        for first, last, sealed, left in cast("list[tuple[int, int, bytes, str]]", rows.fetchall())
    )


def what_is_kept(connection: apsw.Connection, events: Sequence[int]) -> Forgotten:
    """Of these events."""
    count, originals, states = connection.execute(QUERIES["what_is_kept"], _events(events)).get
    deliveries = {State(state): total for state, total in orjson.loads(states)}
    return Forgotten(count, originals, deliveries)


def erase(
    connection: apsw.Connection,
    piece: Piece,
    thinned: Sequence[tuple[Thinnable, bytes | None]],
) -> Forgotten:
    """Remove the events with all that belongs to them, inside a transaction.

    A chunk that another change touched meanwhile stays marked: see `still_held`.
    """
    forgotten = what_is_kept(connection, piece.events)
    chunks = {"chunks": connection.execute(QUERIES["chunks_of"], _events(piece.events)).get}
    removal.remove(connection, piece.events)
    rows = connection.execute(QUERIES["hashes_of"], chunks).fetchall()
    for first_event, hashes in cast("list[tuple[int, bytes]]", rows):
        left = without(first_event, hashes, frozenset(piece.events))
        given = {"first_event": first_event, "hashes": left}
        connection.execute(QUERIES["change_hashes"], given)
    removal.keep_thinned(connection, thinned)
    return forgotten


def _chunks(rows: object) -> tuple[SealedOriginals, ...]:
    return tuple(SealedOriginals(*row) for row in cast("list[tuple[int, int, bytes]]", rows))


def _events(events: Sequence[int]) -> dict[str, str]:
    return {"events": _list(events)}


def _list(values: Sequence[int]) -> str:
    return orjson.dumps(list(values)).decode()

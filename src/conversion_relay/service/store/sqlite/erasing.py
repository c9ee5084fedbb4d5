"""Which events are of certain users, and removing them whole. Knows no thread.

Each function is one short piece of work: looking needs no transaction, erasing does. Events have a
hash of whose they are; of older ones, and of those in quarantine that could not be read, the
originals are looked through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import apsw
import orjson

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.delivery import State
from conversion_relay.core.match_keys import subjects_of
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Forgotten
from conversion_relay.service.store.sqlite import removal
from conversion_relay.service.store.sqlite.originals import (
    Original,
    SealedOriginals,
    open_originals,
)
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.removal import Thinnable
from conversion_relay.service.store.sqlite.subjects import NOBODY_MARK, events_marked, without

_STRETCH_EVENTS: Final = 25_000
"""Some milliseconds, in which others do not have the interpreter."""
_EVENTS_AT_ONCE: Final = 200
_CHUNKS_AT_ONCE: Final = 8
"""Sealed anew and written in one transaction: some hundred KiB each."""
_ESCAPED: Final = re.compile(r'[^ -~]|["/\\]')
"""What JSON may write in several ways."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose events are meant.

    Attributes:
        users: userIds or anonymousIds.
        source: whose events alone; None: of all sources.
        marks: the users' hashes, as they stand beside events.
        last: the newest event that is meant.
    """

    users: frozenset[str]
    source: str | None
    marks: frozenset[int]
    last: int


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


def search(
    chunks: Iterable[SealedOriginals], asked: Asked, sealer: Sealer, unread: frozenset[int] | None
) -> tuple[int, ...]:
    """The events in these chunks that are the users'.

    Args:
        chunks: of which nobody can read a damaged one, or tell whose events are in it.
        asked: who is meant.
        sealer: opens them.
        unread: if given, these events alone; the id of a user may stand anywhere in them.
    """
    return tuple(_search(chunks, asked, sealer, unread))


def _search(
    chunks: Iterable[SealedOriginals], asked: Asked, sealer: Sealer, unread: frozenset[int] | None
) -> Iterator[int]:
    likeness = _Likeness.of(asked.users)
    is_theirs = likeness.is_subject if unread is None else likeness.is_in
    for chunk in chunks:
        try:
            originals = open_originals(chunk, sealer)
        except SealingError:
            continue
        for one in originals:
            of_source = asked.source is None or one.source == asked.source
            is_meant = unread is None or one.event in unread
            if of_source and is_meant and is_theirs(one):
                yield one.event


@dataclass(frozen=True, slots=True)
class _Likeness:
    """How the ids of users look in an original.

    Attributes:
        always: the bytes that are there wherever an id is; empty when there are several ways.
    """

    users: frozenset[str]
    always: bytes

    @staticmethod
    def of(users: frozenset[str]) -> _Likeness:
        (user,) = users if len(users) == 1 else ("",)
        return _Likeness(users, b"" if _ESCAPED.search(user) else user.encode())

    def is_subject(self, original: Original) -> bool:
        """Whether it is one of theirs; decoding is for those where an id can be at all."""
        content = original.content
        if self.always not in content and b"\\u" not in content:
            return False
        text = content.decode(errors="surrogateescape")
        decoded = decode(text)
        if isinstance(decoded, Undecodable) or not isinstance(decoded.value, dict):
            return self._stands_in(text)
        return not self.users.isdisjoint(subjects_of(decoded.value))

    def is_in(self, original: Original) -> bool:
        """Whether it is, or an id stands in it as a word."""
        text = original.content.decode(errors="surrogateescape")
        return self._stands_in(text) or self.is_subject(original)

    def _stands_in(self, text: str) -> bool:
        there = (user for user in self.users if user in text)
        return any(re.search(rf"(?<!\w){re.escape(user)}(?!\w)", text) for user in there)


def _chunks(rows: object) -> tuple[SealedOriginals, ...]:
    return tuple(SealedOriginals(*row) for row in cast("list[tuple[int, int, bytes]]", rows))


def _events(events: Sequence[int]) -> dict[str, str]:
    return {"events": _list(events)}


def _list(values: Sequence[int]) -> str:
    return orjson.dumps(list(values)).decode()

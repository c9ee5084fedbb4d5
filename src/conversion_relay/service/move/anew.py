"""What becomes of the rows of an embedded store on their way: new ids, sealed with another key.

Pure; knows no database. A chunk of originals belongs to one day in the new store, so one whose
events lie on two is split. What cannot be opened is as lost as it was before, and is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, cast

import orjson

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Packing, Sealer
from conversion_relay.service.store.lessons import owner_context
from conversion_relay.service.store.moving import Row
from conversion_relay.service.store.originals import (
    Original,
    SealedOriginals,
    gathered,
    open_originals,
)
from conversion_relay.service.store.past_rows import version_context
from conversion_relay.service.store.rows import body_context
from conversion_relay.service.store.subjects import EVENT_BYTES, UNTOLD

Tables: TypeAlias = Mapping[str, Sequence[Row]]
CLOSED: Final = "could not be opened: "
"""Begins the name of a tally."""
_NOTHING: Final = bytes(EVENT_BYTES)
_UNTOLD: Final = UNTOLD.ljust(EVENT_BYTES, b"\0")


@dataclass(frozen=True, slots=True)
class Anew:
    """What is needed to make the rows anew.

    Attributes:
        opens: with the keys of the old store.
        seals: with the key of the new one.
        id_of: the new id, from the microsecond of an event's receipt and an old one.
        slots: the ledger's tables there, by those here.
        closed: counts what could not be opened.
    """

    opens: Sealer
    seals: Sealer
    id_of: Callable[[int, int], int]
    slots: Mapping[int, int]
    closed: Counter[str] = field(default_factory=Counter)


Change: TypeAlias = Callable[[Sequence[Row], Anew], Tables]


def as_it_is(table: str) -> Change:
    """Rows that stay as they are, in that table."""
    return lambda rows, _: {table: rows}


def events(rows: Sequence[Row], anew: Anew) -> Tables:
    """Rows of events, with their new ids."""
    found = cast("Sequence[tuple[int, str, str, str, int]]", rows)
    return {
        "events": [
            (anew.id_of(row[4], row[0]), *rest)
            for row, rest in zip(found, (one[1:] for one in rows), strict=True)
        ]
    }


class _Chunk(NamedTuple):
    first: int
    last: int
    sealed: bytes
    hashes: bytes | None
    untold: int  # only the originals tell whose the events are
    events: str  # JSON: [[id, received_at], ...]


def originals(rows: Sequence[Row], anew: Anew) -> Tables:
    """Chunks of originals and of hashes, one for each day there."""
    chunks: list[Row] = []
    hashes: list[Row] = []
    for row in rows:
        chunk = _Chunk(*cast("tuple[int, int, bytes, bytes | None, int, str]", row))
        contents = _contents(chunk, anew)
        for days_events in _by_day(chunk, anew):
            new = list(days_events.values())
            kept = [
                Original(days_events[one.event], one.source, one.message_id, one.content)
                for one in contents
                if one.event in days_events
            ]
            if kept:
                made = gathered(new[0], new[-1], kept, anew.seals)
                chunks.append((made.first_event, made.last_event, made.sealed))
            marks = _marks(chunk, days_events)
            if marks.strip(b"\0"):
                hashes.append((new[0], marks))
    return {"originals": chunks, "event_subjects": hashes}


class _Delivery(NamedTuple):
    id: int
    event: int
    same: tuple[str | int | None, ...]
    body: bytes | None
    source: str
    message_id: str
    destination: str
    received_at: int

    @staticmethod
    def of(row: Row) -> _Delivery:
        number, event, *same, body, source, message_id, destination, received_at = row
        rest = (body, source, message_id, destination, received_at)
        return _Delivery(*cast("_Delivery", (number, event, tuple(same), *rest)))

    @property
    def context(self) -> bytes:
        """What its body is bound to."""
        return body_context(self.source, self.message_id, self.destination, str(self.same[1]))


def deliveries(rows: Sequence[Row], anew: Anew) -> Tables:
    """Rows of deliveries, and their bodies beside them."""
    found = [_Delivery.of(row) for row in rows]
    kept: list[Row] = [
        (anew.id_of(one.received_at, one.id), anew.id_of(one.received_at, one.event), *one.same)
        for one in found
    ]
    bodies: list[Row] = []
    plain: list[tuple[int, bytes, bytes]] = []
    for one in found:
        number = anew.id_of(one.received_at, one.id)
        if one.body is None:
            continue
        try:
            plain.append((number, anew.opens.open(one.body, one.context), one.context))
        except SealingError:  # it ends as dead there, as it would have here
            anew.closed[CLOSED + "bodies"] += 1
            bodies.append((number, one.body))
    sealed = anew.seals.seal_all([(body, context) for _, body, context in plain], Packing.PLAIN)
    bodies += [(number, value) for (number, *_), value in zip(plain, sealed, strict=True)]
    return {"deliveries": kept, "bodies": bodies}


def attempts(rows: Sequence[Row], anew: Anew) -> Tables:
    """Which requests deliveries travelled in."""
    found = cast("Sequence[tuple[int, int, int]]", rows)
    return {
        "attempts": [
            (anew.id_of(received_at, one), request) for one, request, received_at in found
        ]
    }


def ledger_slots(rows: Sequence[Row], anew: Anew) -> Tables:
    """The ledger's tables: of one that was left, since when it is only looked in."""
    found = cast("Sequence[tuple[int, int | None, str]]", rows)
    return {
        "ledger_slots": [
            (anew.slots[slot], since, None if state == "current" else since)
            for slot, since, state in found
        ]
    }


def ledger(slot: int) -> Change:
    """Keys of one of the ledger's tables."""

    def change(rows: Sequence[Row], anew: Anew) -> Tables:
        found = cast("Sequence[tuple[str, str, int, int]]", rows)
        return {
            "ledger": [
                (message_id, source, anew.slots[slot], at, anew.id_of(at, event))
                for message_id, source, at, event in found
            ]
        }

    return change


def match_keys(rows: Sequence[Row], anew: Anew) -> Tables:
    """What is remembered of persons, sealed anew."""
    kept: list[Row] = []
    for row in cast("Sequence[tuple[bytes, str, str, int, int, bytes]]", rows):
        context = owner_context(row[:3])
        try:
            plain = anew.opens.open(row[5], context)
        except SealingError:
            anew.closed[CLOSED + "match keys"] += 1
        else:
            kept.append((*row[:5], anew.seals.seal(plain, context, Packing.PLAIN)))
    return {"match_keys": kept}


def configurations(rows: Sequence[Row], anew: Anew) -> Tables:
    """What was in effect, sealed anew; what could not be opened went when the store was opened."""
    kept: list[Row] = []
    for *same, sealed in rows:
        context = version_context(str(same[3]))
        plain = anew.opens.open(cast("bytes", sealed), context)
        kept.append((*same, anew.seals.seal(plain, context)))
    return {"configurations": kept}


def _contents(chunk: _Chunk, anew: Anew) -> Sequence[Original]:
    try:
        return open_originals(SealedOriginals(*chunk[:3]), anew.opens)
    except SealingError:
        anew.closed[CLOSED + "originals"] += 1
        return ()


def _by_day(chunk: _Chunk, anew: Anew) -> Iterable[Mapping[int, int]]:
    """The new ids by the old ones, in order, of the events of each day."""
    days: dict[int, dict[int, int]] = defaultdict(dict)
    for event, received_at in cast("list[tuple[int, int]]", orjson.loads(chunk.events)):
        days[anew.id_of(received_at, 0)][event] = anew.id_of(received_at, event)
    return days.values()


def _marks(chunk: _Chunk, days_events: Mapping[int, int]) -> bytes:
    """Whose the events from the first to the last of these are; of others nothing."""
    if chunk.hashes is None and not chunk.untold:
        return b""
    old = list(days_events)
    return b"".join(
        _mark(chunk, event) if event in days_events else _NOTHING
        for event in range(old[0], old[-1] + 1)
    )


def _mark(chunk: _Chunk, event: int) -> bytes:
    """Hashes of an untold one were made with a key that is gone."""
    if chunk.untold or chunk.hashes is None:
        return _UNTOLD
    place = (event - chunk.first) * EVENT_BYTES
    return chunk.hashes[place : place + EVENT_BYTES]

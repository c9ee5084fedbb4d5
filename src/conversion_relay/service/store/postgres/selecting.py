"""Looking through what is kept, a bounded stretch at a time. Only reads.

A page looks at so many events, however few of them are meant: no call is long, and none keeps a
snapshot for more than a moment.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.originals import SealedOriginals, open_originals
from conversion_relay.service.store.port import EventPage, KeptDelivery, KeptEvent, Selection
from conversion_relay.service.store.postgres import ledger
from conversion_relay.service.store.postgres.aliases import owners
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.days import day_of_id
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.records import delivery_record
from conversion_relay.service.store.postgres.texts import (
    given,
    kept,
    optionally_given,
    optionally_kept,
)
from conversion_relay.service.store.records import (
    DeliveryRow,
    EventRow,
    kept_event,
    optional_moment,
)
from conversion_relay.service.store.rows import body_context, optional_microseconds

_STRETCH_EVENTS: Final = 20_000
_PAGE_BYTES: Final = 2 * 1024 * 1024
"""Of originals; the chunk with which they come to that is the last of a page."""
_CHUNKS_AT_ONCE: Final = 8
_SECONDS: Final = 30.0


class _Span(NamedTuple):
    """The first and the last event of a day."""

    day: int
    first: int
    last: int


class Selecting:
    """Looks through what is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`."""
        work = partial(self._page, selection=selection, after=after, limit=limit)
        return await self._database.slow.run(work, _SECONDS)

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie, besides the own test events.

        Of one day, those of a node whose ids are behind may be left out for others.
        """
        asked = (CANARY_SOURCE, count)
        found: int = await self._database.slow.run(
            lambda one: one.fetchval(QUERIES["before_newest"], *asked), _SECONDS
        )
        return found

    async def known(self, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
        """For each (source, messageId), in order, the event it belongs to, which may be gone."""
        return await self._database.hot.run(partial(owners, keys=keys))

    async def body(self, delivery: int) -> bytes | None:
        """What this delivery would send; None once it is delivered, gone or cannot be opened."""
        row = await self._database.hot.run(lambda one: one.fetchrow(QUERIES["body_of"], delivery))
        if row is None:
            return None
        source, message_id, destination, mapping, sealed = row
        names = (given(source), given(message_id), destination, given(mapping))
        with suppress(SealingError):
            return self._database.sealer.open(sealed, body_context(*names))
        return None

    async def _page(
        self, connection: Connection, selection: Selection, after: int, limit: int
    ) -> EventPage:
        asked_for = (after, _STRETCH_EVENTS)
        ((first, last, newest),) = await connection.fetch(QUERIES["stretch"], *asked_for)
        if first is None or limit < 1:
            return EventPage((), None, 1.0)
        asked = (first, last, limit, *await _conditions(connection, selection))
        found = await connection.fetch(QUERIES["selected_events"], *asked)
        rows = [EventRow(*row) for row in found]
        originals, cut = await self._originals(connection, [row.id for row in rows])
        shown = [row for row in rows if cut is None or row.id <= cut]
        is_full = len(rows) == limit or len(shown) < len(rows)
        reached = shown[-1].id if is_full else last
        deliveries = await _deliveries(connection, shown)
        events = tuple(_event(row, deliveries[row.id], originals.get(row.id)) for row in shown)
        if reached >= newest:
            return EventPage(events, None, 1.0)
        spans = [_Span(*row) for row in await connection.fetch(QUERIES["spans_of_days"])]
        return EventPage(events, reached, _share(spans, reached))

    async def _originals(
        self, connection: Connection, ids: Sequence[int]
    ) -> tuple[Mapping[int, bytes], int | None]:
        """The bytes of these events, up to a bound, and the event at which that was met.

        Each chunk is opened once, and a damaged one costs no other.
        """
        rows = await connection.fetch(QUERIES["chunks_of"], ids)
        chunks = sorted({first for _, first in rows})
        found: dict[int, bytes] = {}
        for begin in range(0, len(chunks), _CHUNKS_AT_ONCE):
            asked = chunks[begin : begin + _CHUNKS_AT_ONCE]
            sealed = await connection.fetch(QUERIES["originals_at"], asked)
            room = _PAGE_BYTES - sum(map(len, found.values()))
            some = [SealedOriginals(*row) for row in sealed]
            opening = (some, self._database.sealer, frozenset(ids), room)
            contents, cut = await asyncio.to_thread(_opened, *opening)
            found |= contents
            if cut is not None:
                return found, cut
        return found, None


async def _conditions(
    connection: Connection, selection: Selection
) -> tuple[int | str | list[int] | list[str] | None, ...]:
    """The last arguments of the query `selected_events`, in its order."""
    message_ids = sorted(selection.message_ids)
    return (
        optional_microseconds(selection.since),
        optional_microseconds(selection.until),
        [kept(one) for one in message_ids] if message_ids else None,
        await ledger.events_of(connection, message_ids),
        CANARY_SOURCE,
        _values(selection.states),
        _values(selection.dispositions),
        selection.destination,
        optionally_kept(selection.mapping),
    )


async def _deliveries(
    connection: Connection, rows: Sequence[EventRow]
) -> Mapping[int, list[KeptDelivery]]:
    """By event, its deliveries."""
    by_event: dict[int, list[KeptDelivery]] = defaultdict(list)
    found = await connection.fetch(QUERIES["deliveries_of_events"], [row.id for row in rows])
    for event, envelope, event_id, unknown, *row in found:
        record = delivery_record(DeliveryRow(*row))
        one = KeptDelivery(record, envelope, optionally_given(event_id), optional_moment(unknown))
        by_event[event].append(one)
    return by_event


def _event(row: EventRow, deliveries: Sequence[KeptDelivery], original: bytes | None) -> KeptEvent:
    told = row._replace(
        source=given(row.source),
        message_id=given(row.message_id),
        reason=optionally_given(row.reason),
    )
    return kept_event(told, deliveries, original)


def _opened(
    chunks: Sequence[SealedOriginals], sealer: Sealer, wanted: frozenset[int], room: int
) -> tuple[dict[int, bytes], int | None]:
    """The bytes of the wanted events in these chunks; where there is no more room, the last."""
    found: dict[int, bytes] = {}
    for chunk in chunks:
        with suppress(SealingError):
            opened = open_originals(chunk, sealer)
            found |= {one.event: one.content for one in opened if one.event in wanted}
        if sum(map(len, found.values())) >= room:
            return found, chunk.last_event
    return found, None


def _share(spans: Sequence[_Span], reached: int) -> float:
    """How far this event is among the days; each counts as much as any other."""
    today = day_of_id(reached)
    share = sum(span.day < today for span in spans)
    for span in spans:
        if span.day == today:
            within = (reached - span.first + 1) / (span.last - span.first + 1)
            return (share + min(within, 1.0)) / len(spans)
    return share / len(spans) if spans else 1.0


def _values(members: Iterable[Enum]) -> list[str] | None:
    return sorted(str(member.value) for member in members) or None

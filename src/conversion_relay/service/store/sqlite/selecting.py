"""Looking through what is kept, a bounded stretch at a time. Only reads; knows no thread.

A page looks at so many ids of events, however few of them are meant: no call is long, and none
keeps a snapshot that would hold up the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from enum import Enum
from typing import Final, cast

import apsw
import orjson

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.originals import SealedOriginals, open_originals
from conversion_relay.service.store.port import (
    EventPage,
    KeptDelivery,
    KeptEvent,
    Selection,
)
from conversion_relay.service.store.records import (
    DeliveryRow,
    EventRow,
    delivery_record,
    kept_event,
    optional_moment,
)
from conversion_relay.service.store.rows import body_context, optional_microseconds
from conversion_relay.service.store.sqlite.ledger import event_known_as, events_of
from conversion_relay.service.store.sqlite.queries import QUERIES

_STRETCH_EVENTS: Final = 20_000
_PAGE_BYTES: Final = 2 * 1024 * 1024
"""Of originals; the chunk with which they come to that is the last of a page."""


def select(
    connection: apsw.Connection, sealer: Sealer, selection: Selection, after: int, limit: int
) -> EventPage:
    """Up to `limit` of the selected events with an id greater than `after`."""
    oldest, first, newest = connection.execute(QUERIES["event_bounds"], {"after": after}).get
    if first is None or limit < 1:
        return EventPage((), None, 1.0)
    last = first + _STRETCH_EVENTS - 1
    known_as = _list(events_of(connection, sorted(selection.message_ids)))
    asked = {
        **_conditions(selection),
        "known_as": known_as,
        "first": first,
        "last": last,
        "limit": limit,
    }
    found = connection.execute(QUERIES["selected_events"], asked).get
    rows = [EventRow(*row) for row in orjson.loads(found.decode(errors="replace"))]
    originals, cut = _originals(connection, sealer, [row.id for row in rows])
    given = [row for row in rows if cut is None or row.id <= cut]
    is_full = len(rows) == limit or len(given) < len(rows)
    reached = given[-1].id if is_full else min(last, newest)
    share = (reached - oldest + 1) / (newest - oldest + 1)
    events = _events(connection, given, originals)
    return EventPage(events, None if reached >= newest else reached, share)


def before_newest(connection: apsw.Connection, count: int) -> int:
    """The id after which the newest `count` events lie, besides the service's own test events."""
    given = {"count": count, "canary": CANARY_SOURCE}
    return int(connection.execute(QUERIES["before_newest"], given).get)


def known(connection: apsw.Connection, keys: Sequence[tuple[str, str]]) -> tuple[int | None, ...]:
    """For each (source, messageId), in order, the event it belongs to, which may be gone."""
    return tuple(event_known_as(connection, message_id, source) for source, message_id in keys)


def body(connection: apsw.Connection, sealer: Sealer, delivery: int) -> bytes | None:
    """What this delivery would send; None once it is delivered, gone or cannot be opened."""
    found = connection.execute(QUERIES["body_of"], {"delivery": delivery}).get
    if found is None:
        return None
    source, message_id, destination, mapping, sealed = found
    with suppress(SealingError):
        return sealer.open(sealed, body_context(source, message_id, destination, mapping))
    return None


def _conditions(selection: Selection) -> dict[str, str | int | None]:
    return {
        "states": _values(selection.states),
        "dispositions": _values(selection.dispositions),
        "since": optional_microseconds(selection.since),
        "until": optional_microseconds(selection.until),
        "destination": selection.destination,
        "mapping": selection.mapping,
        "canary": CANARY_SOURCE,
        "message_ids": _list(sorted(selection.message_ids)) if selection.message_ids else None,
    }


def _events(
    connection: apsw.Connection, rows: Sequence[EventRow], originals: Mapping[int, bytes]
) -> tuple[KeptEvent, ...]:
    ids = [row.id for row in rows]
    by_event: dict[int, list[KeptDelivery]] = defaultdict(list)
    found = connection.execute(QUERIES["deliveries_of_events"], {"events": _list(ids)}).get
    for event, envelope, event_id, unknown, *row in orjson.loads(found.decode(errors="replace")):
        record = delivery_record(DeliveryRow(*row))
        delivery = KeptDelivery(record, envelope, event_id, optional_moment(unknown))
        by_event[event].append(delivery)
    return tuple(kept_event(row, by_event[row.id], originals.get(row.id)) for row in rows)


def _originals(
    connection: apsw.Connection, sealer: Sealer, ids: Sequence[int]
) -> tuple[Mapping[int, bytes], int | None]:
    """The bytes of these events, up to a bound, and the event at which that was met.

    Each chunk is opened once, and a damaged one costs no other.
    """
    wanted = frozenset(ids)
    found: dict[int, bytes] = {}
    size = 0
    rows = connection.execute(QUERIES["originals_of_events"], {"events": _list(ids)})
    with closing(rows):  # or the snapshot would stay
        for first, last, sealed in cast("Iterator[tuple[int, int, bytes]]", rows):
            with suppress(SealingError):
                opened = open_originals(SealedOriginals(first, last, sealed), sealer)
                given = {one.event: one.content for one in opened if one.event in wanted}
                found |= given
                size += sum(map(len, given.values()))
            if size >= _PAGE_BYTES:
                return found, last
    return found, None


def _values(members: Iterable[Enum]) -> str | None:
    names = sorted(str(member.value) for member in members)
    return _list(names) if names else None


def _list(values: Sequence[str | int]) -> str:
    return orjson.dumps(list(values)).decode()

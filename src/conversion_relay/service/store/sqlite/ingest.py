"""From new events to rows: duplicates, ids, sealing, inserts. Knows no thread and no queue.

Used by the one connection that writes. `prepare` does the work that needs no transaction (nobody
else writes, so what it finds still holds inside one), `keep` inserts, `committed` comes after.

What a client may write at length goes under seal; of what stays readable, `type` is one of a few
words and ids are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import apsw

from conversion_relay.core.delivery import State
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Packing
from conversion_relay.service.store.originals import (
    SealedOriginals,
    in_chunk_order,
    seal_originals,
)
from conversion_relay.service.store.port import NewEvent, Receipt, kept_event_id
from conversion_relay.service.store.rows import (
    EnvelopeKey,
    notes_text,
    planned_context,
    type_of,
    worth_of,
)
from conversion_relay.service.store.sqlite import ledger
from conversion_relay.service.store.sqlite.memory import Memory, count
from conversion_relay.service.store.sqlite.queries import QUERIES, for_rows, in_slot
from conversion_relay.service.store.times import to_microseconds

Row = tuple[str | int | bytes | None, ...]

_ROWS_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that several appends put into the database, with their receipts.

    Attributes:
        receipts: one for each append, in order.
        envelopes: those the database does not have yet.
        ledger_slot: the table of the ledger that gets their ids.
        rows: for each query, in the order in which they are inserted.
        new: the events themselves, for what is learned of them.
    """

    receipts: list[Receipt]
    envelopes: dict[EnvelopeKey, int]
    ledger_slot: int
    rows: dict[str, list[Row]]
    new: Sequence[NewEvent]


class Ingest:
    """Hands out ids and turns events into rows."""

    def __init__(self, connection: apsw.Connection, memory: Memory) -> None:
        self._sealer = memory.sealer
        self._memory = memory
        self._last_event, self._last_delivery = connection.execute(QUERIES["last_ids"]).get
        known = connection.execute(QUERIES["envelopes"])
        self._envelopes: dict[EnvelopeKey, int] = {
            (destination, envelope): number for number, destination, envelope in known
        }
        self._unwritten: dict[EnvelopeKey, int] = {}

    def prepare(
        self, connection: apsw.Connection, appends: Sequence[Sequence[NewEvent]]
    ) -> Prepared:
        """Everything these appends lead to; nothing is written yet."""
        events = list(chain.from_iterable(appends))
        tables = ledger.ring(connection)
        fresh = _fresh(connection, tables, events)
        flags = iter(fresh)
        receipts = [Receipt(tuple(islice(flags, len(append)))) for append in appends]
        new = in_chunk_order(e for e, is_fresh in zip(events, fresh, strict=True) if is_fresh)
        first_event = self._last_event + 1
        self._last_event += len(new)
        chunks = seal_originals(new, first_event, self._sealer)
        envelopes = self._new_envelopes(new)
        rows: dict[str, list[Row]] = {
            "keep_envelope": [(number, *key) for key, number in envelopes.items()],
            "keep_event": [_event_row(*pair) for pair in enumerate(new, first_event)],
            "keep_originals": [(c.first_event, c.last_event, c.sealed) for c in chunks],
            "keep_subjects": self._subject_rows(new, first_event, chunks),
            "keep_ledger": [_ledger_row(*pair) for pair in enumerate(new, first_event)],
            "keep_delivery": self._delivery_rows(new, first_event, envelopes),
        }
        return Prepared(receipts, envelopes, tables.current.number, rows, new)

    def keep(self, connection: apsw.Connection, prepared: Prepared) -> None:
        """Insert the rows, and remember what they teach, inside a transaction."""
        for name, rows in prepared.rows.items():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                query = in_slot(for_rows(name, len(part)), prepared.ledger_slot)
                connection.execute(query, list(chain.from_iterable(part)))
        self._memory.learn(connection, prepared.new)
        count(connection, [(event.received_at, event.key_counts) for event in prepared.new])

    def committed(self, prepared: Prepared) -> None:
        """Remember what is now in the database."""
        self._envelopes.update(prepared.envelopes)
        for key in prepared.envelopes:
            self._unwritten.pop(key, None)

    def next_deliveries(self, count: int) -> range:
        """So many ids for further deliveries of kept events."""
        first = self._last_delivery + 1
        self._last_delivery += count
        return range(first, first + count)

    def envelopes_of(self, planned: Iterable[PlannedDelivery]) -> dict[EnvelopeKey, int]:
        """The envelopes of further deliveries; they may not be in the database yet."""
        return self._numbered({(one.destination, one.envelope) for one in planned})

    def _numbered(self, keys: set[EnvelopeKey]) -> dict[EnvelopeKey, int]:
        """An envelope keeps its number even where the transaction that writes it first fails."""
        first = max(chain(self._envelopes.values(), self._unwritten.values()), default=0) + 1
        new = sorted(keys - self._envelopes.keys() - self._unwritten.keys())
        self._unwritten.update((key, number) for number, key in enumerate(new, first))
        known = self._envelopes | self._unwritten
        return {key: known[key] for key in keys}

    def _new_envelopes(self, events: Iterable[NewEvent]) -> dict[EnvelopeKey, int]:
        keys = {
            (planned.destination, planned.envelope) for e in events for planned in e.deliveries
        }
        return self._numbered(keys - self._envelopes.keys())

    def _subject_rows(
        self, events: Sequence[NewEvent], first_event: int, chunks: Iterable[SealedOriginals]
    ) -> list[Row]:
        """Whose the events of each chunk are; of some nothing is known."""
        rows: list[Row] = []
        for chunk in chunks:
            first, last = chunk.first_event - first_event, chunk.last_event - first_event
            marks = self._memory.subjects.marks(events[first : last + 1])
            if marks is not None:
                rows.append((chunk.first_event, marks))
        return rows

    def _delivery_rows(
        self, events: Sequence[NewEvent], first_event: int, envelopes: dict[EnvelopeKey, int]
    ) -> list[Row]:
        planned = [(e, n, d) for n, e in enumerate(events, first_event) for d in e.deliveries]
        values = [(d.body, planned_context(event, d)) for event, _, d in planned]
        bodies = self._sealer.seal_all(values, Packing.PLAIN)
        numbers = self._envelopes | envelopes
        first = self._last_delivery + 1
        self._last_delivery += len(planned)
        rows: list[Row] = []
        for number, ((event, event_number, d), body) in enumerate(
            zip(planned, bodies, strict=True), first
        ):
            due_at = to_microseconds(event.received_at)
            envelope = numbers[d.destination, d.envelope]
            names = (d.mapping, d.event_name, kept_event_id(d.event_id))
            state = (due_at, State.PENDING.value, due_at)
            rows.append((number, event_number, envelope, *names, *state, body, *worth_of(d)))
        return rows


def _fresh(
    connection: apsw.Connection, tables: ledger.Ring, events: Sequence[NewEvent]
) -> list[bool]:
    """For each event whether neither the ledger nor an earlier one of these has its key."""
    pairs = [(event.message_id, event.source) for event in events]
    known = ledger.known(connection, tables, pairs) if pairs else set()
    seen: set[tuple[str, str]] = set()
    fresh: list[bool] = []
    for position, pair in enumerate(pairs):
        fresh.append(position not in known and pair not in seen)
        seen.add(pair)
    return fresh


def _event_row(number: int, event: NewEvent) -> Row:
    return (
        number,
        event.source,
        event.message_id,
        type_of(event),
        to_microseconds(event.received_at),
        event.disposition.value,
        event.reason,
        notes_text(event.warnings),
        notes_text(event.rejections),
        notes_text(event.suppressions),
    )


def _ledger_row(number: int, event: NewEvent) -> Row:
    return event.message_id, event.source, to_microseconds(event.received_at), number

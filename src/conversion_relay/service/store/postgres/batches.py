"""New events with their ids as the columns that one statement keeps. Knows no connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Packing, Sealer
from conversion_relay.service.store.originals import SealedOriginals, seal_originals
from conversion_relay.service.store.port import NewEvent, kept_event_id
from conversion_relay.service.store.postgres.texts import kept, optionally_kept
from conversion_relay.service.store.rows import (
    EnvelopeKey,
    notes_text,
    planned_context,
    type_of,
    worth_of,
)
from conversion_relay.service.store.times import to_microseconds

Column: TypeAlias = list[str | int | bytes | None]
Marks: TypeAlias = Callable[[Sequence[NewEvent]], bytes | None]


@dataclass(frozen=True, slots=True)
class Run:
    """Events of one day with ids that count up, and so do those of their deliveries."""

    events: Sequence[NewEvent]
    first_event: int
    first_delivery: int

    @property
    def planned(self) -> list[tuple[NewEvent, int, PlannedDelivery]]:
        """Each delivery with its event and the id of that."""
        return [
            (event, number, planned)
            for number, event in enumerate(self.events, self.first_event)
            for planned in event.deliveries
        ]


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into the database together.

    Attributes:
        slot: of the ledger, in which the keys are not, nor in the others.
        events: all of them, for what is learned of them.
        columns: for the query `keep`, after the slot.
    """

    slot: int
    events: Sequence[NewEvent]
    columns: Sequence[Column] = field(repr=False)


def columns_of(
    runs: Sequence[Run], envelopes: Mapping[EnvelopeKey, int], sealer: Sealer, marks: Marks
) -> list[Column]:
    """The columns of the query `keep`, in its order."""
    chunks = [
        (run, chunk)
        for run in runs
        for chunk in seal_originals(run.events, run.first_event, sealer)
    ]
    events = [_event_row(*pair) for run in runs for pair in enumerate(run.events, run.first_event)]
    subjects = [
        (chunk.first_event, found)
        for run, chunk in chunks
        if (found := marks(_events_of(run, chunk))) is not None
    ]
    return [
        *_columns(events, 10),
        *_columns([(c.first_event, c.last_event, c.sealed) for _, c in chunks], 3),
        *_columns(subjects, 2),
        *_columns(_delivery_rows(runs, envelopes, sealer), 10),
    ]


_Row: TypeAlias = tuple[str | int | bytes | None, ...]


def _columns(rows: Sequence[_Row], width: int) -> list[Column]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _events_of(run: Run, chunk: SealedOriginals) -> Sequence[NewEvent]:
    first = chunk.first_event - run.first_event
    return run.events[first : chunk.last_event - run.first_event + 1]


def _event_row(number: int, event: NewEvent) -> _Row:
    return (
        number,
        kept(event.source),
        kept(event.message_id),
        type_of(event),
        to_microseconds(event.received_at),
        event.disposition.value,
        optionally_kept(event.reason),
        notes_text(event.warnings),
        notes_text(event.rejections),
        notes_text(event.suppressions),
    )


def _delivery_rows(
    runs: Sequence[Run], envelopes: Mapping[EnvelopeKey, int], sealer: Sealer
) -> list[_Row]:
    """Ids and sealed bodies first, then the rest of each delivery."""
    planned = [
        (number, *one)
        for run in runs
        for number, one in enumerate(run.planned, run.first_delivery)
    ]
    values = [(one.body, planned_context(event, one)) for _, event, _, one in planned]
    bodies = sealer.seal_all(values, Packing.PLAIN)
    return [
        (
            number,
            body,
            event_number,
            envelopes[one.destination, one.envelope],
            kept(one.mapping),
            kept(one.event_name),
            optionally_kept(kept_event_id(one.event_id)),
            to_microseconds(event.received_at),
            *worth_of(one),
        )
        for (number, event, event_number, one), body in zip(planned, bodies, strict=True)
    ]

"""Events as they wait in the spool: everything that would be kept of them, as bytes and back.

Pure. A line of JSON, then the bytes of originals and bodies end to end. The form is numbered: what
an earlier release left behind is read by a later one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final, TypeAlias, TypedDict, cast

from conversion_relay.core.destination import Worth
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.persons import KeyCount, Learned
from conversion_relay.service.store.port import Disposition, NewEvent
from conversion_relay.service.store.times import from_microseconds, to_microseconds

_FORM: Final = 1
_Notes: TypeAlias = list[list[str]]


class _Delivery(TypedDict):
    destination: str
    mapping: str
    envelope: str
    event_name: str
    event_id: str | None
    body: int  # its size
    keys: list[str]
    filled: list[str]
    worth: list[int | str] | None


class _Event(TypedDict):
    source: str
    message_id: str
    type: str
    received_at: int  # microseconds
    original: int  # its size
    disposition: str
    deliveries: list[_Delivery]
    warnings: _Notes
    rejections: _Notes
    suppressions: _Notes
    reason: str | None
    subjects: list[str]
    learned: list[list[str | dict[str, str] | int]]
    key_counts: list[list[str | int]]


class _Head(TypedDict):
    form: int
    events: list[_Event]


def packed(events: Sequence[NewEvent]) -> bytes:
    """The events as bytes; `unpacked` gives them back as they were."""
    head: _Head = {"form": _FORM, "events": [_event(event) for event in events]}
    parts = [json.dumps(head, separators=(",", ":")).encode(), b"\n"]
    for event in events:
        parts.append(event.original)
        parts += (delivery.body for delivery in event.deliveries)
    return b"".join(parts)


def unpacked(content: bytes) -> tuple[NewEvent, ...]:
    """The events that were packed.

    Raises:
        StoreUnavailable: these bytes are none, or of a later release.
    """
    line, _, rest = content.partition(b"\n")
    try:
        head = cast("_Head", json.loads(line))
        if head["form"] != _FORM:
            raise StoreUnavailable("a later release wrote this record of the spool")
        bytes_of = _Reading(rest)
        events = tuple(_event_of(event, bytes_of) for event in head["events"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise StoreUnavailable("a record of the spool cannot be read") from error
    if bytes_of.left:
        raise StoreUnavailable("a record of the spool cannot be read")
    return events


class _Reading:
    """Gives bytes one piece after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    @property
    def left(self) -> int:
        """How many are still there; fewer than none if more were asked for."""
        return len(self._content) - self._place

    def next(self, size: int) -> bytes:
        """The next so many."""
        begin = self._place
        self._place += size
        return self._content[begin : self._place]


def _event(event: NewEvent) -> _Event:
    return {
        "source": event.source,
        "message_id": event.message_id,
        "type": event.type,
        "received_at": to_microseconds(event.received_at),
        "original": len(event.original),
        "disposition": event.disposition.value,
        "deliveries": [_delivery(delivery) for delivery in event.deliveries],
        "warnings": _notes(event.warnings),
        "rejections": _notes(event.rejections),
        "suppressions": _notes(event.suppressions),
        "reason": event.reason,
        "subjects": list(event.subjects),
        "learned": [
            [one.destination, dict(one.keys), to_microseconds(one.expires_at)]
            for one in event.learned
        ],
        "key_counts": [[*asdict(one).values()] for one in event.key_counts],
    }


def _event_of(row: _Event, bytes_of: _Reading) -> NewEvent:
    return NewEvent(
        source=row["source"],
        message_id=row["message_id"],
        type=row["type"],
        received_at=from_microseconds(row["received_at"]),
        original=bytes_of.next(row["original"]),
        disposition=Disposition(row["disposition"]),
        deliveries=tuple(_delivery_of(one, bytes_of) for one in row["deliveries"]),
        warnings=_notes_of(row["warnings"]),
        rejections=_notes_of(row["rejections"]),
        suppressions=_notes_of(row["suppressions"]),
        reason=row["reason"],
        subjects=tuple(row["subjects"]),
        learned=tuple(
            Learned(destination, keys, _moment(expires_at))
            for destination, keys, expires_at in cast(
                "list[tuple[str, dict[str, str], int]]", row["learned"]
            )
        ),
        key_counts=tuple(
            KeyCount(*one) for one in cast("list[tuple[str, str, int, int]]", row["key_counts"])
        ),
    )


def _delivery(planned: PlannedDelivery) -> _Delivery:
    worth = planned.worth
    return {
        "destination": planned.destination,
        "mapping": planned.mapping,
        "envelope": planned.envelope,
        "event_name": planned.event_name,
        "event_id": planned.event_id,
        "body": len(planned.body),
        "keys": sorted(planned.keys),
        "filled": sorted(planned.filled),
        "worth": None if worth is None else [worth.micros, worth.currency],
    }


def _delivery_of(row: _Delivery, bytes_of: _Reading) -> PlannedDelivery:
    worth = cast("tuple[int, str] | None", row["worth"])
    return PlannedDelivery(
        destination=row["destination"],
        mapping=row["mapping"],
        envelope=row["envelope"],
        event_name=row["event_name"],
        event_id=row["event_id"],
        body=bytes_of.next(row["body"]),
        keys=frozenset(row["keys"]),
        filled=frozenset(row["filled"]),
        worth=None if worth is None else Worth(*worth),
    )


def _notes(notes: Sequence[Note]) -> _Notes:
    return [[note.destination, note.mapping, note.field, note.reason] for note in notes]


def _notes_of(rows: _Notes) -> tuple[Note, ...]:
    return tuple(Note(*row) for row in rows)


def _moment(number: int) -> datetime:
    return from_microseconds(number)

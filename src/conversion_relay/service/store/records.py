"""Rows of events and deliveries as the port gives them. Pure; knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from conversion_relay.core.delivery import State
from conversion_relay.core.plan import Note
from conversion_relay.service.store.port import (
    DeliveryRecord,
    Disposition,
    KeptDelivery,
    KeptEvent,
)
from conversion_relay.service.store.times import nearest_moment


class DeliveryRow(NamedTuple):
    """A delivery for a DeliveryRecord, times in microseconds."""

    id: int
    message_id: str
    destination: str
    mapping: str
    event_name: str
    state: str
    attempts: int
    reason: str | None
    accepted_at: int
    settled_at: int | None


class EventRow(NamedTuple):
    """An event for a KeptEvent, times in microseconds."""

    id: int
    source: str
    message_id: str
    type: str
    received_at: int
    disposition: str
    reason: str | None
    rejections: str | None
    suppressions: str | None


def delivery_record(row: DeliveryRow) -> DeliveryRecord:
    """A delivery as the port gives it."""
    return DeliveryRecord(
        id=row.id,
        message_id=row.message_id,
        destination=row.destination,
        mapping=row.mapping,
        event_name=row.event_name,
        state=State(row.state),
        attempts=row.attempts,
        reason=row.reason,
        accepted_at=nearest_moment(row.accepted_at),
        settled_at=optional_moment(row.settled_at),
    )


def kept_event(
    row: EventRow, deliveries: Sequence[KeptDelivery], original: bytes | None
) -> KeptEvent:
    """An event as the port gives it."""
    return KeptEvent(
        id=row.id,
        source=row.source,
        message_id=row.message_id,
        type=row.type,
        received_at=nearest_moment(row.received_at),
        disposition=Disposition(row.disposition),
        reason=row.reason,
        rejections=notes_given(row.rejections),
        suppressions=notes_given(row.suppressions),
        deliveries=tuple(deliveries),
        original=original,
    )


def notes_given(text: str | None) -> tuple[Note, ...]:
    """The notes that `rows.notes_text` kept."""
    return tuple(Note(*note) for note in orjson.loads(text or "[]"))


def optional_moment(number: int | None) -> datetime | None:
    """The moment of a number of microseconds, if there is one."""
    return None if number is None else nearest_moment(number)

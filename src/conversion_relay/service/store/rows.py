"""What both engines keep of events and deliveries, in the same form. Pure; knows no database.

What a client may write at length goes under seal; of what stays readable, `type` is one of a few
words and ids are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

import orjson

from conversion_relay.core.delivery import LIFE, Cause, State, Transition
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.sealing import binding
from conversion_relay.service.store.times import to_microseconds
from conversion_relay.service.store.values import NewEvent, Settlement

EnvelopeKey: TypeAlias = tuple[str, str]
"""Destination and envelope."""
CLOSED_BODY: Final = Transition(
    State.DEAD, Cause.UNREADABLE, reason="the stored body cannot be opened"
)
DAMAGED_ROW: Final = Transition(
    State.DEAD, Cause.UNREADABLE, reason="the stored row cannot be read"
)
_IN_QUARANTINE: Final = ""
_TYPES: Final = frozenset(
    {"track", "page", "screen", "identify", "group", "alias", "delete", _IN_QUARANTINE}
)
_OTHER_TYPE: Final = "other"


class SettledRow(NamedTuple):
    """The end of a claim as it is kept, times in microseconds."""

    id: int
    fence: int
    state: str
    due_at: int | None
    reason: str | None
    first_unknown_at: int | None


def type_of(event: NewEvent) -> str:
    """The type under which it is kept."""
    return event.type if event.type in _TYPES else _OTHER_TYPE


def notes_text(notes: Sequence[Note]) -> str | None:
    """Notes as they are kept: JSON."""
    rows = [[note.destination, note.mapping, note.field, note.reason] for note in notes]
    return orjson.dumps(rows).decode() if rows else None


def worth_of(planned: PlannedDelivery) -> tuple[int | None, str | None]:
    """What is kept of a conversion's worth: millionths and currency."""
    worth = planned.worth
    return (None, None) if worth is None else (worth.micros, worth.currency)


def body_context(source: str, message_id: str, destination: str, mapping: str) -> bytes:
    """What a sealed body is bound to."""
    return binding("body", source, message_id, destination, mapping)


def planned_context(event: NewEvent, planned: PlannedDelivery) -> bytes:
    """The same of a delivery that is about to be kept."""
    return body_context(event.source, event.message_id, planned.destination, planned.mapping)


def settled_row(settlement: Settlement) -> SettledRow:
    """The end of a claim as it is kept.

    Raises:
        ValueError: a transition that is none: not in LIFE, or a due time that does not fit.
    """
    transition = settlement.transition
    known = LIFE.get((State.CLAIMED, transition.cause)) is transition.state
    waits = transition.state is State.PENDING
    if not known or waits is (transition.due_at is None):
        raise ValueError(
            f"no transition: {transition.state.value} for {transition.cause.value}, "
            f"due at {transition.due_at}"
        )
    return SettledRow(
        settlement.id,
        settlement.fence,
        transition.state.value,
        optional_microseconds(transition.due_at),
        transition.reason,
        optional_microseconds(transition.first_unknown_at),
    )


def optional_microseconds(moment: datetime | None) -> int | None:
    """The number that is kept, if there is one."""
    return None if moment is None else to_microseconds(moment)

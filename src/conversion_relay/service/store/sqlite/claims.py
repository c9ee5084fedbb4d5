"""Claiming and settling deliveries: one short statement or two each. Knows no thread and no queue.

A claim leaves the writing connection as `Claims`, bodies still sealed; `open_claims` needs no
database and runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import apsw
import orjson

from conversion_relay.core.delivery import State, Transition
from conversion_relay.errors import SealingError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import ClaimedDelivery, Settlement
from conversion_relay.service.store.sqlite.ingest import body_context
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.times import from_microseconds, to_microseconds

_CLOSED_BODY = Transition(State.DEAD, reason="the stored body cannot be opened")
_DAMAGED_ROW = Transition(State.DEAD, reason="the stored row cannot be read")


class _DueRow(NamedTuple):
    """One row of the query `due`, times in microseconds."""

    due_at: int
    id: int
    size: int
    source: str
    mapping: str
    message_id: str
    event_name: str
    event_id: str | None
    fence: int
    attempts: int
    accepted_at: int
    first_unknown_at: int | None


@dataclass(frozen=True, slots=True)
class Claims:
    """Deliveries just claimed, as the database gave them.

    Attributes:
        rows: JSON, see the query `due`; bytes, for damaged text may not be UTF-8.
        bodies: sealed, end to end.
    """

    destination: str
    envelope: str
    rows: bytes = field(repr=False)
    bodies: bytes = field(repr=False)


def claim(
    connection: apsw.Connection, destination: str, limit: int, lease: timedelta, now: datetime
) -> Claims | None:
    """Lease what is due, inside a transaction; None when nothing is."""
    at = to_microseconds(now)
    found = connection.execute(
        QUERIES["due_envelope"], {"destination": destination, "now": at}
    ).get
    if found is None:
        return None
    number, envelope = found
    chosen = {"envelope": number, "now": at, "limit": limit}
    rows, bodies = connection.execute(QUERIES["due"], chosen).get
    lease_until = to_microseconds(now + lease)
    connection.execute(QUERIES["claim"], {**chosen, "lease_until": lease_until})
    return Claims(destination, envelope, rows, bodies)


def open_claims(
    claims: Claims, sealer: Sealer
) -> tuple[tuple[ClaimedDelivery, ...], tuple[Settlement, ...]]:
    """The deliveries, and the end of those that were damaged: one must not stop the rest."""
    opened: list[ClaimedDelivery] = []
    damaged: list[Settlement] = []
    for row, sealed in sorted(_with_bodies(claims), key=_due_order):
        try:
            opened.append(_opened(row, sealed, claims, sealer))
        except SealingError:
            damaged.append(Settlement(row.id, row.fence, _CLOSED_BODY))
        except OverflowError:
            damaged.append(Settlement(row.id, row.fence, _DAMAGED_ROW))
    return tuple(opened), tuple(damaged)


def settlement_rows(settlements: Sequence[Settlement]) -> str:
    """What `settle` takes.

    Raises:
        ValueError: a transition that is none: claimed, or a due time that does not fit its state.
    """
    return orjson.dumps([_settlement_row(settlement) for settlement in settlements]).decode()


def settle(connection: apsw.Connection, rows: str, now: datetime) -> int:
    """Record the ends of claims, inside a transaction; gives how many were still ours."""
    connection.execute(QUERIES["settle"], {"settlements": rows, "now": to_microseconds(now)})
    return connection.changes()


def _opened(row: _DueRow, sealed: bytes, claims: Claims, sealer: Sealer) -> ClaimedDelivery:
    """The delivery; the seal vouches for source, messageId, destination and mapping.

    Raises:
        SealingError: the body does not belong to them, or cannot be opened.
        OverflowError: a time that is none.
    """
    context = body_context(row.source, row.message_id, claims.destination, row.mapping)
    return ClaimedDelivery(
        id=row.id,
        fence=row.fence,
        destination=claims.destination,
        mapping=row.mapping,
        message_id=row.message_id,
        envelope=claims.envelope,
        event_name=row.event_name,
        event_id=row.event_id,
        body=sealer.open(sealed, context),
        attempts=row.attempts,
        accepted_at=from_microseconds(row.accepted_at),
        first_unknown_at=_optional_moment(row.first_unknown_at),
    )


def _with_bodies(claims: Claims) -> list[tuple[_DueRow, bytes]]:
    """Each row with its part of the bodies."""
    found: list[tuple[_DueRow, bytes]] = []
    position = 0
    for values in orjson.loads(claims.rows.decode(errors="replace")):
        row = _DueRow(*values)
        found.append((row, claims.bodies[position : position + row.size]))
        position += row.size
    if position != len(claims.bodies):
        raise StoreUnavailable("the database gave bodies that do not fit their rows")
    return found


def _due_order(found: tuple[_DueRow, bytes]) -> tuple[int, int]:
    return found[0].due_at, found[0].id


def _settlement_row(settlement: Settlement) -> list[str | int | None]:
    transition = settlement.transition
    waits = transition.state is State.PENDING
    if transition.state is State.CLAIMED or waits is (transition.due_at is None):
        raise ValueError(f"no transition: {transition.state.value}, due at {transition.due_at}")
    return [
        settlement.id,
        settlement.fence,
        transition.state.value,
        _optional_microseconds(transition.due_at),
        transition.reason,
        _optional_microseconds(transition.first_unknown_at),
    ]


def _optional_microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)


def _optional_moment(number: int | None) -> datetime | None:
    return None if number is None else from_microseconds(number)

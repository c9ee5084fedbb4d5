"""Claiming and settling deliveries: one short statement or two each. Knows no thread and no queue.

A claim leaves the writing connection as `Claims`, bodies still sealed; `open_claims` needs no
database and runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, TypeAlias

import apsw
import orjson

from conversion_relay.errors import SealingError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import PROBE_REST, ClaimedDelivery, Settlement
from conversion_relay.service.store.rows import CLOSED_BODY, DAMAGED_ROW, body_context, settled_row
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.requests import KeptRequest, keep_request
from conversion_relay.service.store.times import from_microseconds, to_microseconds

NONE_KEPT_BACK = "[]"


class DueRow(NamedTuple):
    """One row of the query `as_claimed`, times in microseconds."""

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


class Counted(Enum):
    """Whether a claim counts as an attempt."""

    ATTEMPT = 1
    PROBE = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Deliveries that may be claimed: of one envelope, their ids as a JSON array."""

    destination: str
    envelope: str
    ids: str
    counted: Counted


@dataclass(frozen=True, slots=True)
class Claims:
    """Deliveries just claimed, as the database gave them.

    Attributes:
        rows: JSON, see the query `as_claimed`; bytes, for damaged text may not be UTF-8.
        bodies: sealed, end to end.
    """

    destination: str
    envelope: str
    rows: bytes = field(repr=False)
    bodies: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """A wish: up to `limit` due deliveries of one envelope, oldest due first."""

    destination: str
    limit: int

    def choose(self, connection: apsw.Connection, kept_back: str, now: datetime) -> Chosen | None:
        """What it comes to now, without the ids kept back (a JSON array); None: nothing is due."""
        at = {"now": to_microseconds(now), "kept_back": kept_back}
        asked = {"destination": self.destination, **at}
        found = connection.execute(QUERIES["due_envelope"], asked).get
        if found is None:
            return None
        number, envelope = found
        asked = {"envelope": number, "limit": self.limit, **at}
        ids: str = connection.execute(QUERIES["due_ids"], asked).get
        return Chosen(self.destination, envelope, ids, Counted.ATTEMPT)


@dataclass(frozen=True, slots=True)
class Probe:
    """A wish: the one delivery that shows how a lane is."""

    destination: str

    def choose(self, connection: apsw.Connection, kept_back: str, now: datetime) -> Chosen | None:
        """What it comes to now, without the ids kept back (a JSON array); None: there is none."""
        asked = {
            "destination": self.destination,
            "kept_back": kept_back,
            "now": to_microseconds(now),
            "rested": to_microseconds(now - PROBE_REST),
        }
        found = connection.execute(QUERIES["probe_ids"], asked).get
        if found is None:
            return None
        envelope, ids = found
        return Chosen(self.destination, envelope, ids, Counted.PROBE)


Wish: TypeAlias = Batch | Probe


def claim(
    connection: apsw.Connection, wish: Wish, lease: timedelta, now: datetime
) -> Claims | None:
    """Lease what is wished for, inside a transaction; None when there is nothing."""
    chosen = wish.choose(connection, NONE_KEPT_BACK, now)
    if chosen is None:
        return None
    found = as_claimed(connection, chosen)
    connection.execute(
        QUERIES["claim"],
        {
            "ids": chosen.ids,
            "counted": chosen.counted.value,
            "now": to_microseconds(now),
            "lease_until": to_microseconds(now + lease),
        },
    )
    return found


def as_claimed(connection: apsw.Connection, chosen: Chosen) -> Claims:
    """The deliveries as a claim makes them; changes nothing."""
    asked = {"ids": chosen.ids, "counted": chosen.counted.value}
    rows, bodies = connection.execute(QUERIES["as_claimed"], asked).get
    return Claims(chosen.destination, chosen.envelope, rows, bodies)


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
            damaged.append(Settlement(row.id, row.fence, CLOSED_BODY))
        except OverflowError:
            damaged.append(Settlement(row.id, row.fence, DAMAGED_ROW))
    return tuple(opened), tuple(damaged)


def settlement_rows(settlements: Sequence[Settlement]) -> str:
    """What `settle` takes.

    Raises:
        ValueError: a transition that is none: not in LIFE, or a due time that does not fit.
    """
    return orjson.dumps([[*settled_row(one)] for one in settlements]).decode()


def settle(
    connection: apsw.Connection, rows: str, now: datetime, request: KeptRequest | None
) -> int:
    """Record the ends of claims, inside a transaction; gives how many were still ours."""
    number = None if request is None else keep_request(connection, request)
    at = to_microseconds(now)
    given = {"settlements": rows, "now": at, "request": number}
    connection.execute(QUERIES["settle"], given)
    return connection.changes()


def release(connection: apsw.Connection, destination: str, now: datetime) -> int:
    """Let go on what is held of a destination, inside a transaction; gives how many there were."""
    asked = {"destination": destination, "now": to_microseconds(now)}
    connection.execute(QUERIES["release"], asked)
    return connection.changes()


def _opened(row: DueRow, sealed: bytes, claims: Claims, sealer: Sealer) -> ClaimedDelivery:
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
        source=row.source,
    )


def rows_of(claims: Claims) -> list[DueRow]:
    """Its rows, without their bodies."""
    return [DueRow(*values) for values in orjson.loads(claims.rows.decode(errors="replace"))]


def _with_bodies(claims: Claims) -> list[tuple[DueRow, bytes]]:
    """Each row with its part of the bodies."""
    found: list[tuple[DueRow, bytes]] = []
    position = 0
    for row in rows_of(claims):
        found.append((row, claims.bodies[position : position + row.size]))
        position += row.size
    if position != len(claims.bodies):
        raise StoreUnavailable("the database gave bodies that do not fit their rows")
    return found


def _due_order(found: tuple[DueRow, bytes]) -> tuple[int, int]:
    return found[0].due_at, found[0].id


def _optional_moment(number: int | None) -> datetime | None:
    return None if number is None else from_microseconds(number)

"""Claiming and settling deliveries: short statements, no lock while a request travels.

Knows no clock. The rules stand in the queries; bodies are opened once the claim is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import SealingError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import RequestRecord
from conversion_relay.service.store.port import PROBE_REST, ClaimedDelivery, Settlement
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.heads import Heads
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import (
    given,
    kept,
    optionally_given,
    optionally_kept,
)
from conversion_relay.service.store.rows import CLOSED_BODY, DAMAGED_ROW, body_context, settled_row
from conversion_relay.service.store.times import (
    from_microseconds,
    nearest_moment,
    to_microseconds,
)

if TYPE_CHECKING:
    import asyncpg

    _Rows: TypeAlias = Sequence[asyncpg.Record]
else:
    _Rows = object

_OPENED_AT_ONCE: Final = 32
"""More bodies than so many are opened in a thread."""
_RELEASED_AT_ONCE: Final = 5_000
_PROBE_TRIES: Final = 5
_CODES: Final = 2**63
_LEFT_FOR: Final = timedelta(seconds=15)
_OTHER_KEY: Final = (
    "sealed with a key that this node lacks (id {}): give every node the same RELAY_ENCRYPTION_KEY"
)


class _Claimed(NamedTuple):
    """One row of a claim, times in microseconds."""

    id: int
    fence: int
    source: str | None
    mapping: str
    message_id: str | None
    event_name: str
    event_id: str | None
    attempts: int
    accepted_at: int
    first_unknown_at: int | None
    sealed: bytes | None


class Travel(NamedTuple):
    """What deliveries of one claim have in common."""

    destination: str
    envelope: str


class _Opened(NamedTuple):
    """What became of the rows of a claim; of what another key sealed, that key's id."""

    given: list[ClaimedDelivery]
    damaged: list[Settlement]
    foreign: list[tuple[_Claimed, str]]


class Claiming:
    """Claims and settles deliveries."""

    def __init__(self, database: Database, heads: Heads) -> None:
        self._connections = database.hot
        self._sealer = database.sealer
        self._heads = heads

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Up to `limit` due deliveries, oldest due first, all of one envelope, leased to us."""
        if limit < 1:
            return ()
        at, until = to_microseconds(now), to_microseconds(now + lease)
        for head in await self._heads.of(destination, at):
            if head.due_at > at:
                break
            asked = (head.envelope, limit, at, until, head.due_at)
            rows = await self._connections.single(partial(_rows, query="claim", asked=asked))
            if rows:
                return await self._given(rows, Travel(destination, head.name), now)
        return ()

    async def claim_probe(
        self, destination: str, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """One delivery for a lane that does not flow, leased to us; empty when there is none."""
        at, until = to_microseconds(now), to_microseconds(now + lease)
        asked = (destination, at, to_microseconds(now - PROBE_REST))
        for _ in range(_PROBE_TRIES):
            found = await self._connections.run(partial(_rows, query="probe", asked=asked))
            if not found:
                break
            number, fence, envelope = found[0]
            chosen = (number, fence, at, until)
            rows = await self._connections.single(
                partial(_rows, query="claim_probe", asked=chosen)
            )
            if rows:
                return await self._given(rows, Travel(destination, envelope), now)
        return ()

    async def settle(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None = None,
    ) -> int:
        """Record how claims ended; gives how many were still ours.

        Raises:
            ValueError: a transition that is none.
        """
        rows = sorted(map(settled_row, settlements), key=lambda row: row[:2])
        columns: list[list[str | int | None]] = [
            list(column) for column in zip(*rows, strict=True)
        ]
        ids, fences, states, due, reasons, unknown = columns or [[] for _ in range(6)]
        told = [None if reason is None else kept(str(reason)) for reason in reasons]
        ends = (ids, fences, states, due, told, unknown, to_microseconds(now))

        async def work(connection: Connection) -> int:
            settled: int = await connection.fetchval(
                QUERIES["settle"], *ends, *_request_row(request)
            )
            return settled

        settled = await self._connections.single(work)
        again = [row.due_at for row in rows if row.due_at is not None]
        if again:
            self._heads.lower(min(again))
        return settled

    async def release(self, destination: str, now: datetime) -> int:
        """Make what is held of this destination pending and due; gives how many there were."""
        released, last = 0, _RELEASED_AT_ONCE
        asked = (destination, to_microseconds(now), _RELEASED_AT_ONCE)
        while last == _RELEASED_AT_ONCE:
            ((last,),) = await self._connections.single(
                partial(_rows, query="release", asked=asked)
            )
            released += last
        self._heads.lower(to_microseconds(now))
        return released

    async def next_due(self, destination: str) -> datetime | None:
        """When the next delivery is due or the next lease ends; None when nothing waits."""
        heads = await self._heads.of(destination)
        return nearest_moment(heads[0].due_at) if heads else None

    async def _given(
        self, rows: _Rows, travel: Travel, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """The deliveries; those that are damaged end, one must not stop the rest.

        Raises:
            StoreUnavailable: all are sealed with a key that other nodes have.
        """
        opening = partial(_opened_all, rows, travel, self._sealer)
        few = len(rows) <= _OPENED_AT_ONCE
        opened = opening() if few else await asyncio.to_thread(opening)
        left = await self._left(opened.foreign, now) if opened.foreign else []
        if opened.damaged or left:
            await self.settle([*opened.damaged, *left], now)
        told = next((one.transition.reason for one in left if one.transition.due_at), None)
        if told is not None and not opened.given:
            raise StoreUnavailable(f"{len(left)} deliveries are {told}")
        return tuple(opened.given)

    async def _left(
        self, foreign: Sequence[tuple[_Claimed, str]], now: datetime
    ) -> list[Settlement]:
        """How these claims end: a wrong key costs no delivery, a damaged name of a key does."""
        rows = await self._connections.run(partial(_rows, query="known_sealing_keys", asked=()))
        known = {key_id for (key_id,) in rows}
        return [
            Settlement(
                row.id, row.fence, _put_off(key_id, now) if key_id in known else CLOSED_BODY
            )
            for row, key_id in foreign
        ]


async def _rows(connection: Connection, query: str, asked: tuple[str | int, ...]) -> _Rows:
    return await connection.fetch(QUERIES[query], *asked)


def _put_off(key_id: str, now: datetime) -> Transition:
    """Left to the nodes that have the key."""
    told = _OTHER_KEY.format(key_id)
    return Transition(State.PENDING, Cause.DEFERRED, now + _LEFT_FOR, told)


def _opened_all(rows: _Rows, travel: Travel, sealer: Sealer) -> _Opened:
    opened = _Opened([], [], [])
    for row in (_Claimed(*values) for values in rows):
        try:
            opened.given.append(_opened(row, travel, sealer))
        except SealingError:
            missing = None if row.sealed is None else sealer.missing_key(row.sealed)
            if missing is None:
                opened.damaged.append(Settlement(row.id, row.fence, CLOSED_BODY))
            else:
                opened.foreign.append((row, missing))
        except OverflowError:
            opened.damaged.append(Settlement(row.id, row.fence, DAMAGED_ROW))
    return opened


def _opened(row: _Claimed, travel: Travel, sealer: Sealer) -> ClaimedDelivery:
    """The delivery; the seal vouches for source, messageId, destination and mapping.

    Raises:
        SealingError: the body is gone, does not belong to them, or cannot be opened.
        OverflowError: a time that is none.
    """
    if row.sealed is None or row.source is None or row.message_id is None:
        raise SealingError("the body or the event is gone")
    source, message_id, mapping = given(row.source), given(row.message_id), given(row.mapping)
    context = body_context(source, message_id, travel.destination, mapping)
    unknown = row.first_unknown_at
    return ClaimedDelivery(
        id=row.id,
        fence=row.fence,
        destination=travel.destination,
        mapping=mapping,
        message_id=message_id,
        envelope=travel.envelope,
        event_name=given(row.event_name),
        event_id=optionally_given(row.event_id),
        body=sealer.open(row.sealed, context),
        attempts=row.attempts,
        accepted_at=from_microseconds(row.accepted_at),
        first_unknown_at=None if unknown is None else from_microseconds(unknown),
        source=source,
    )


def _request_row(
    record: RequestRecord | None,
) -> tuple[str | int | float | list[int] | None, ...]:
    """The columns of a request that is to be kept; a code that fits no column is left out."""
    if record is None:
        return (*(None,) * 9, [])
    code = record.code
    return (
        record.destination,
        to_microseconds(record.sent_at),
        record.seconds,
        record.events,
        record.result,
        record.status,
        code if code is None or -_CODES <= code < _CODES else None,
        optionally_kept(record.request_id),
        optionally_kept(record.reason),
        sorted(record.undecided),
    )

"""What became of deliveries, and what they are worth: read in pages, each of one day.

Each page is short, so that it holds no snapshot for long; within a day an event and its deliveries
are found without looking into other partitions.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from conversion_relay.service.store.history import CANARY_SOURCE, Moment, OutcomeCount
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.days import day_of, first_id
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import given
from conversion_relay.service.store.sums import (
    MICROSECOND,
    MomentRow,
    MomentSum,
    OutcomeRow,
    OutcomeSum,
)
from conversion_relay.service.store.times import to_microseconds

_EVENTS_AT_ONCE: Final = 10_000
_DELIVERIES_AT_ONCE: Final = 20_000
_LAST_DAY: Final = 2**31 - 1
_BEGINNING: Final = (-(2**63), -1)


class _Place(NamedTuple):
    """Where something waits, and the query that reads it."""

    day: int
    envelope: int
    query: str


class Outcomes:
    """Adds up what became of the deliveries of events received in that time."""

    def __init__(self, since: datetime, until: datetime, bounds: Sequence[timedelta]) -> None:
        self._sum = OutcomeSum(bounds)
        self._between = day_of(since), day_of(until)
        self._until = to_microseconds(until)
        self._after = (to_microseconds(since), -1)
        self._days: deque[int] | None = None

    async def add(self, connection: Connection) -> bool:
        """The next page of events; whether there is nothing more."""
        if self._days is None:
            self._days = await _days(connection, *self._between)
        if not self._days:
            return True
        rows = await connection.fetch(
            QUERIES["outcomes"],
            *_ids_of(self._days[0]),
            self._until,
            *self._after,
            _EVENTS_AT_ONCE,
            CANARY_SOURCE,
            self._sum.bounds,
        )
        for at, number, *values in rows:
            self._after = (at, number)
            self._sum.add(_outcome(*values) if values[0] is not None else ())
        if not rows:
            self._days.popleft()
        return not self._days

    def result(self) -> tuple[OutcomeCount, ...]:
        """In the order of what they have in common."""
        return self._sum.result()


class Moments:
    """Counts what was received and what arrived in each step of that time.

    All deliveries are looked through: what arrived may have been received long before.
    """

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._sum = MomentSum(since, step)
        self._time = to_microseconds(since), to_microseconds(until), step // MICROSECOND
        self._days: deque[int] | None = None
        self._next = 0

    async def add(self, connection: Connection) -> bool:
        """The next page of deliveries; whether there is nothing more."""
        if self._days is None:
            self._days = await _days(connection, 0, _LAST_DAY)
        if not self._days:
            return True
        first, end = _ids_of(self._days[0])
        rows = await connection.fetch(
            QUERIES["moments"],
            max(first, self._next),
            end,
            first,
            *self._time,
            _DELIVERIES_AT_ONCE,
            CANARY_SOURCE,
        )
        for last, *values in rows:
            self._next = last + 1
            self._sum.add([MomentRow(*values)] if values[0] is not None else ())
        if not rows:
            self._days.popleft()
        return not self._days

    def result(self) -> tuple[Moment, ...]:
        """Oldest first."""
        return self._sum.result()


class WaitingValue:
    """Adds up what the deliveries that wait for a destination are worth."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._places: list[_Place] | None = None
        self._after = _BEGINNING
        self._values: Counter[str] = Counter()

    async def add(self, connection: Connection) -> bool:
        """The next page of deliveries; whether there is nothing more."""
        if self._places is None:
            found = await connection.fetch(QUERIES["waiting_places"], self._destination)
            self._places = [_Place(*row) for row in found]
        if not self._places:
            return True
        if not await self._page(connection, self._places[-1]):
            self._places.pop()
            self._after = _BEGINNING
        return not self._places

    async def _page(self, connection: Connection, place: _Place) -> bool:
        """Whether there was anything on it."""
        rows = await connection.fetch(
            QUERIES[place.query],
            place.envelope,
            *_ids_of(place.day),
            *self._after,
            _DELIVERIES_AT_ONCE,
            CANARY_SOURCE,
        )
        for at, number, currency, value in rows:
            self._after = (at, number)
            if currency is not None:
                self._values[currency] += value
        return bool(rows)

    def result(self) -> Mapping[str, int]:
        """Millionths by currency."""
        return dict(self._values)


async def _days(connection: Connection, first: int, last: int) -> deque[int]:
    rows = await connection.fetch(QUERIES["days_between"], first, last)
    return deque(day for (day,) in rows)


def _ids_of(day: int) -> tuple[int, int]:
    return first_id(day), first_id(day + 1)


def _outcome(*values: str | int | None) -> Sequence[OutcomeRow]:
    row = OutcomeRow(*values)  # type: ignore[arg-type]
    return [row._replace(mapping=given(row.mapping), event_name=given(row.event_name))]

"""What became of deliveries, and what they are worth: added up over pages. Knows no thread.

Each page is short, so that nobody waits for it and no snapshot keeps the log from being taken into
the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.service.store.history import CANARY_SOURCE, Moment, OutcomeCount
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.times import to_microseconds

_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS: Final = 1_000_000
_EVENTS_AT_ONCE: Final = 10_000
_DELIVERIES_AT_ONCE: Final = 20_000
_WAITING: Final = ("waiting_value", "held_value")


class _Kind(NamedTuple):
    """What outcomes that are counted together have in common; `late` is the number of a bound."""

    source: str
    destination: str
    mapping: str
    event_name: str
    state: str
    late: int | None
    currency: str | None


class Outcomes:
    """Adds up what became of the deliveries of events received in that time."""

    def __init__(self, since: datetime, until: datetime, bounds: Sequence[timedelta]) -> None:
        self._bounds = sorted(bounds)
        self._asked: dict[str, str | int] = {
            "at": to_microseconds(since),
            "id": -1,
            "until": to_microseconds(until),
            "bounds": orjson.dumps([bound // _MICROSECOND for bound in self._bounds]).decode(),
            "canary": CANARY_SOURCE,
            "limit": _EVENTS_AT_ONCE,
        }
        self._counts: Counter[_Kind] = Counter()
        self._values: Counter[_Kind] = Counter()
        self._unvalued: Counter[_Kind] = Counter()
        self._longest: dict[_Kind, int] = {}

    def add(self, connection: apsw.Connection) -> bool:
        """The next page of events; whether there is nothing more."""
        last, found = connection.execute(QUERIES["outcomes"], self._asked).get
        for *values, count, value, unvalued, longest in orjson.loads(found):
            kind = _Kind(*values)
            self._counts[kind] += count
            self._values[kind] += value
            self._unvalued[kind] += unvalued
            self._longest[kind] = max(longest, self._longest.get(kind, 0))
        if last is not None:
            self._asked["at"], self._asked["id"] = orjson.loads(last)
        return last is None

    def result(self) -> tuple[OutcomeCount, ...]:
        """In the order of what they have in common."""
        return tuple(self._count(kind) for kind in sorted(self._counts, key=_in_order))

    def _count(self, kind: _Kind) -> OutcomeCount:
        return OutcomeCount(
            source=kind.source,
            destination=kind.destination,
            mapping=kind.mapping,
            event_name=kind.event_name,
            state=State(kind.state),
            late=None if kind.late is None else self._bounds[kind.late],
            currency=kind.currency,
            count=self._counts[kind],
            value_micros=self._values[kind],
            unvalued=self._unvalued[kind],
            longest_seconds=self._longest[kind] / _MICROSECONDS,
        )


class Moments:
    """Counts what was received and what arrived in each step of that time.

    All deliveries are looked through: what arrived may have been received long before.
    """

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._since = since
        self._step = step
        self._asked: dict[str, str | int] = {
            "since": to_microseconds(since),
            "until": to_microseconds(until),
            "step": step // _MICROSECOND,
            "canary": CANARY_SOURCE,
        }
        self._next = 0
        self._received: Counter[int] = Counter()
        self._delivered: Counter[int] = Counter()

    def add(self, connection: apsw.Connection) -> bool:
        """The next page of deliveries; whether there is nothing more."""
        first: int | None = connection.execute(
            QUERIES["following_delivery"], {"first": self._next}
        ).get
        if first is None:
            return True
        self._next = first + _DELIVERIES_AT_ONCE
        asked = {**self._asked, "first": first, "last": self._next - 1}
        for step, received, delivered in orjson.loads(
            connection.execute(QUERIES["moments"], asked).get
        ):
            self._received[step] += received
            self._delivered[step] += delivered
        return False

    def result(self) -> tuple[Moment, ...]:
        """Oldest first."""
        return tuple(
            Moment(self._since + step * self._step, count, self._delivered[step])
            for step, count in sorted(self._received.items())
        )


class WaitingValue:
    """Adds up what the deliveries that wait for a destination are worth."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._places: list[tuple[int, str]] | None = None  # envelopes and queries
        self._after = (-1, -1)
        self._values: Counter[str] = Counter()

    def add(self, connection: apsw.Connection) -> bool:
        """The next page of deliveries; whether there is nothing more."""
        if self._places is None:
            asked = {"destination": self._destination}
            found: str = connection.execute(QUERIES["envelopes_of"], asked).get
            self._places = [(one, query) for one in orjson.loads(found) for query in _WAITING]
        if not self._places:
            return True
        last = self._page(connection, *self._places[-1])
        if last is None:
            self._places.pop()
        self._after = (-1, -1) if last is None else last
        return not self._places

    def _page(
        self, connection: apsw.Connection, envelope: int, query: str
    ) -> tuple[int, int] | None:
        at, number = self._after
        asked = {
            "envelope": envelope,
            "at": at,
            "id": number,
            "canary": CANARY_SOURCE,
            "limit": _DELIVERIES_AT_ONCE,
        }
        last, found = connection.execute(QUERIES[query], asked).get
        self._values.update(dict(orjson.loads(found)))
        if last is None:
            return None
        at, number = orjson.loads(last)
        return at, number

    def result(self) -> Mapping[str, int]:
        """Millionths by currency."""
        return dict(self._values)


def _in_order(kind: _Kind) -> tuple[str, ...]:
    late = "" if kind.late is None else f"{kind.late:03}"
    return (*kind[:5], late, kind.currency or "")

"""What became of deliveries, and what they are worth: read in pages. Knows no thread.

Each page is short, so that nobody waits for it and no snapshot keeps the log from being taken into
the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import apsw
import orjson

from conversion_relay.service.store.history import CANARY_SOURCE, Moment, OutcomeCount
from conversion_relay.service.store.sqlite.queries import QUERIES
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
_WAITING: Final = ("waiting_value", "held_value")


class Outcomes:
    """Adds up what became of the deliveries of events received in that time."""

    def __init__(self, since: datetime, until: datetime, bounds: Sequence[timedelta]) -> None:
        self._sum = OutcomeSum(bounds)
        self._asked: dict[str, str | int] = {
            "at": to_microseconds(since),
            "id": -1,
            "until": to_microseconds(until),
            "bounds": orjson.dumps(self._sum.bounds).decode(),
            "canary": CANARY_SOURCE,
            "limit": _EVENTS_AT_ONCE,
        }

    def add(self, connection: apsw.Connection) -> bool:
        """The next page of events; whether there is nothing more."""
        last, found = connection.execute(QUERIES["outcomes"], self._asked).get
        self._sum.add(OutcomeRow(*values) for values in orjson.loads(found))
        if last is not None:
            self._asked["at"], self._asked["id"] = orjson.loads(last)
        return last is None

    def result(self) -> tuple[OutcomeCount, ...]:
        """In the order of what they have in common."""
        return self._sum.result()


class Moments:
    """Counts what was received and what arrived in each step of that time.

    All deliveries are looked through: what arrived may have been received long before.
    """

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._sum = MomentSum(since, step)
        self._asked: dict[str, str | int] = {
            "since": to_microseconds(since),
            "until": to_microseconds(until),
            "step": step // MICROSECOND,
            "canary": CANARY_SOURCE,
        }
        self._next = 0

    def add(self, connection: apsw.Connection) -> bool:
        """The next page of deliveries; whether there is nothing more."""
        first: int | None = connection.execute(
            QUERIES["following_delivery"], {"first": self._next}
        ).get
        if first is None:
            return True
        self._next = first + _DELIVERIES_AT_ONCE
        asked = {**self._asked, "first": first, "last": self._next - 1}
        found = connection.execute(QUERIES["moments"], asked).get
        self._sum.add(MomentRow(*values) for values in orjson.loads(found))
        return False

    def result(self) -> tuple[Moment, ...]:
        """Oldest first."""
        return self._sum.result()


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

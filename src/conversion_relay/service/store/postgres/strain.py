"""Who keeps the database from clearing away old rows, and for how long.

A session tells when its transaction began. A replication slot and a standby tell only the number
of the oldest transaction they need: how long ago that was is remembered from looking now and then.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Final, NamedTuple

from conversion_relay.service.store.history import Strain
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES

_REMEMBERED: Final = 2_880
_APART_SECONDS: Final = 30.0
"""A day in all."""
_WORDS: Final = {
    "session": "a transaction of {name}{state}",
    "standby": "the standby {name}{state}",
    "prepared": "a prepared transaction",
    "slot": "the replication slot {name}{state}",
}


class Holder(NamedTuple):
    """One of those.

    Attributes:
        seconds: since its transaction began; None: only `transactions` is known.
        transactions: how many began since the oldest that it needs; None: it told nothing.
    """

    kind: str
    name: str
    state: str
    seconds: float | None
    transactions: int | None

    @property
    def words(self) -> str:
        """What it is."""
        name = f"“{self.name}”" if self.name else "a program without a name"
        state = f" ({self.state})" if self.state else ""
        return _WORDS[self.kind].format(name=name, state=state)


class Clock(NamedTuple):
    """The database's clock in seconds, and the number of its next transaction."""

    seconds: float
    transaction: int


class Course:
    """When which numbers of transactions were reached, as far as it was looked at."""

    def __init__(self) -> None:
        self._seen: deque[Clock] = deque(maxlen=_REMEMBERED)

    def note(self, now: Clock) -> None:
        """Remember how far they have come."""
        if not self._seen or now.seconds - self._seen[-1].seconds >= _APART_SECONDS:
            self._seen.append(now)

    def seconds_since(self, transaction: int, now: Clock) -> float:
        """How long ago at least another transaction than this one was the next."""
        passed = (one.seconds for one in self._seen if one.transaction > transaction)
        return now.seconds - next(passed, now.seconds)

    def age(self, holder: Holder, now: Clock) -> float:
        """How long it has held, in seconds."""
        if holder.seconds is not None:
            return holder.seconds
        return self.seconds_since(now.transaction - (holder.transactions or 0), now)


async def strain(connection: Connection, course: Course) -> Strain:
    """The oldest of them."""
    ((seconds, transaction),) = await connection.fetch(QUERIES["transactions_so_far"])
    now = Clock(seconds, transaction)
    course.note(now)
    holders = [Holder(*row) for row in await connection.fetch(QUERIES["holders"])]
    ages = [(course.age(holder, now), holder.words) for holder in holders]
    oldest, words = max(ages, default=(0.0, ""))
    return Strain(timedelta(seconds=oldest), words) if oldest > 0 else Strain()

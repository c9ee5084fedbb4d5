"""A report as a value, and its sums. Pure: knows no store, no clock and no form of output.

Every figure comes from the same lines (`OutcomeCount`), so that totals are the sums of their
parts, whatever they are grouped by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import Final

from conversion_relay.core.delivery import State
from conversion_relay.service.report.outages import Outage
from conversion_relay.service.store.history import AlertRecord, Moment, OutcomeCount

_LATER: Final = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=48),
)


class Fate(Enum):
    """What became of a received conversion; each has exactly one."""

    ON_TIME = "on_time"
    LATE = "late"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    DEAD = "dead"
    SUPPRESSED = "suppressed"


_FATES: Final[Mapping[State, Fate]] = {
    State.PENDING: Fate.WAITING,
    State.CLAIMED: Fate.WAITING,
    State.HELD: Fate.WAITING,
    State.UNCERTAIN: Fate.UNCERTAIN,
    State.DEAD: Fate.DEAD,
    State.SUPPRESSED: Fate.SUPPRESSED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the report is about, and how it is to be told.

    Attributes:
        since: aware, included.
        until: aware, not included.
        made_at: the present, aware.
        on_time: what took no longer was delivered on time.
        step: of the course over time, whole minutes.
        zone: in which times are shown.
        zone_name: as people call it.
    """

    since: datetime
    until: datetime
    made_at: datetime
    on_time: timedelta
    step: timedelta
    zone: tzinfo = UTC
    zone_name: str = "UTC"

    @property
    def bounds(self) -> tuple[timedelta, ...]:
        """How late is asked for: on time, and the ends of the classes beyond."""
        return (self.on_time, *(bound for bound in _LATER if bound > self.on_time))


@dataclass(frozen=True, slots=True)
class Amount:
    """Conversions, and what they are worth: millionths by currency, never converted."""

    count: int = 0
    micros: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of some conversions.

    Attributes:
        fates: those that occurred.
        longest_seconds: from receipt to delivery, of the delivered ones; 0.0 without any.
    """

    fates: Mapping[Fate, Amount]
    longest_seconds: float

    @property
    def received(self) -> Amount:
        """All of them."""
        return total(self.fates.values())

    def of(self, *fates: Fate) -> Amount:
        """Those with one of these fates."""
        return total(self.fates.get(fate, Amount()) for fate in fates)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers of one kind in the whole period.

    Attributes:
        meaning: of the code, where the destination knows it.
        first: the beginning of the minutes in which it came first.
        last: the same of the last time.
    """

    destination: str
    result: str
    status: int | None
    code: int | None
    meaning: str | None
    requests: int
    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class AtTheDoor:
    """What came in and led to no delivery by itself: counts of a measure by its labels."""

    measure: str
    labels: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the report says.

    Attributes:
        kept_since: what ended before may have been removed, as the retention says.
        outcomes: of the conversions received in the period.
        moments: the course of the period.
        answers: most requests first.
        outages: oldest first.
        alerts: open at any time of the period, oldest first.
        door: what was turned away, or led to nothing.
        version: of the service that made it.
        trouble: why nothing could be written last; None while all is well.
    """

    asked: Asked
    kept_since: datetime
    outcomes: Sequence[OutcomeCount]
    moments: Sequence[Moment]
    answers: Sequence[Answered]
    outages: Sequence[Outage]
    alerts: Sequence[AlertRecord]
    door: Sequence[AtTheDoor]
    version: str
    trouble: str | None = None

    @property
    def figures(self) -> Figures:
        """Of all conversions of the period."""
        return self._figures(self.outcomes)

    def by(self, key: Callable[[OutcomeCount], str]) -> Sequence[tuple[str, Figures]]:
        """Figures for each value of the key; most received first."""
        groups: dict[str, list[OutcomeCount]] = {}
        for one in self.outcomes:
            groups.setdefault(key(one), []).append(one)
        found = [(name, self._figures(group)) for name, group in groups.items()]
        return sorted(found, key=lambda one: (-one[1].received.count, one[0]))

    def lateness(self) -> Sequence[tuple[timedelta | None, Amount]]:
        """The late ones by the bound they did not exceed; None beyond the last bound."""
        classes: dict[timedelta | None, list[OutcomeCount]] = {}
        for one in self.outcomes:
            if self.fate(one) is Fate.LATE:
                classes.setdefault(one.late, []).append(one)
        bounds = (*self.asked.bounds[1:], None)
        return [(bound, _amount(classes[bound])) for bound in bounds if bound in classes]

    def fate(self, outcome: OutcomeCount) -> Fate:
        """Of these conversions."""
        if outcome.state is State.DELIVERED:
            return Fate.ON_TIME if outcome.late == self.asked.on_time else Fate.LATE
        return _FATES[outcome.state]

    def _figures(self, outcomes: Iterable[OutcomeCount]) -> Figures:
        groups: dict[Fate, list[OutcomeCount]] = {}
        for one in outcomes:
            groups.setdefault(self.fate(one), []).append(one)
        delivered = (one for fate in (Fate.ON_TIME, Fate.LATE) for one in groups.get(fate, ()))
        longest = max((one.longest_seconds for one in delivered), default=0.0)
        return Figures({fate: _amount(group) for fate, group in groups.items()}, longest)


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum; currencies stay apart."""
    count, micros = 0, Counter[str]()
    for amount in amounts:
        count += amount.count
        micros.update(amount.micros)
    return Amount(count, dict(sorted(micros.items())))


def _amount(outcomes: Iterable[OutcomeCount]) -> Amount:
    return total(
        Amount(one.count, {} if one.currency is None else {one.currency: one.value_micros})
        for one in outcomes
    )

"""Ordinary days of five sources and one destination, as snapshots: nothing is broken in them.

The noise is that of every day: some events are of no use, some answers are 502, TikTok throttles
for seconds, and now and then somebody knocks without a credential.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import cos, exp, pi
from random import Random
from typing import TypeAlias

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.figures import LaneFigures, Snapshot, StoreFigures
from conversion_relay.service.monitor.learning import WATCHED
from conversion_relay.service.store.history import FlowCount, Waiting

SATURDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEP = timedelta(seconds=5)
_MINUTE = timedelta(minutes=1)
_WEEKEND = 5
_MANY = 30.0
_SIZES = {"disk_free": 400, "disk_size": 1_000, "database": 1, "log": 1}
Rate: TypeAlias = Callable[[datetime], float]
"""Events a second, on average, at a moment."""


def curved(at: datetime) -> float:
    """Five a second in the afternoon, one in four seconds at night, and less at weekends."""
    hour = at.hour + at.minute / 60
    curve = 0.525 - 0.475 * cos((hour - 3) / 24 * 2 * pi)
    return 5 * curve * (0.4 if at.weekday() >= _WEEKEND else 1.0)


def bursts(at: datetime) -> float:
    """Two hundred within some ten seconds, every five minutes."""
    return 20.0 if at.minute % 5 == 0 and at.second < 10 else 0.0


def hourly(_: datetime) -> float:
    """One an hour, at no certain time."""
    return 1 / 3_600


def batches(at: datetime) -> float:
    """A hundred at once, every quarter of an hour."""
    return 20.0 if at.minute % 15 == 7 and at.second < 5 else 0.0


def closed_at_night(at: datetime) -> float:
    """One a second, but from one to six nothing at all."""
    return 0.0 if 1 <= at.hour < 6 else 1.0


SOURCES: Mapping[str, Rate] = {
    "shop": curved,
    "app": bursts,
    "crm": hourly,
    "feed": batches,
    "store": closed_at_night,
}


def poisson(mean: float, random: Random) -> int:
    """So many of what happens that often on average."""
    if mean > _MANY:
        return max(0, round(random.gauss(mean, mean**0.5)))
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


@dataclass
class Days:
    """The traffic from a moment on.

    Attributes:
        now: the present.
        rates: of each source.
        counts: how far the counters have counted.
    """

    now: datetime
    seed: int
    rates: dict[str, Rate] = field(default_factory=lambda: dict(SOURCES))
    counts: Counter[Reading] = field(default_factory=Counter)
    throttled_until: datetime | None = None
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        """Begins the same days for the same seed."""
        self.random = Random(self.seed)  # noqa: S311 - seeded traffic

    def snapshots(self, length: timedelta) -> Iterator[Snapshot]:
        """One every five seconds."""
        end = self.now + length
        while self.now < end:
            for name, rate in self.rates.items():
                self._arrive(name, poisson(rate(self.now) * STEP.total_seconds(), self.random))
            self._make_noise()
            self.now += STEP
            yield self._snapshot()

    def past(self, length: timedelta) -> Iterator[FlowCount]:
        """What was counted, minute by minute, in the time before now, in which it was watched."""
        minute = self.now - length
        while minute < self.now:
            yield FlowCount(minute, WATCHED, (), 1)
            for name, rate in self.rates.items():
                steps = (minute + number * STEP for number in range(12))
                mean = sum(rate(at) * STEP.total_seconds() for at in steps)
                count = poisson(mean, self.random)
                matched = count - count // 10
                if matched:
                    yield FlowCount(minute, "events_kept", (name, "planned"), matched)
                if count > matched:
                    yield FlowCount(minute, "events_kept", (name, "unmatched"), count - matched)
            minute += _MINUTE

    def _arrive(self, source: str, count: int) -> None:
        """Of fifty events one is rejected, five match nothing, and of a thousand two are none."""
        counts = self.counts
        for _ in range(count):
            chance = self.random.random()
            if chance < 0.002:
                counts["events_kept", (source, "quarantined")] += 1
            elif chance < 0.1:
                counts["events_kept", (source, "unmatched")] += 1
            elif chance < 0.12:
                counts["events_kept", (source, "rejected")] += 1
                counts["mapping_rejections", (source, "tiktok", "Order", "value")] += 1
            else:
                counts["events_kept", (source, "planned")] += 1
                counts["deliveries_planned", (source, "tiktok", "Order", "PlaceAnOrder")] += 1
                self._settle(source)
        if count:
            counts["destination_requests", ("tiktok", "accepted")] += 1

    def _settle(self, source: str) -> None:
        state = State.DEAD if self.random.random() < 0.0005 else State.DELIVERED
        labels = (source, "tiktok", "Order", "PlaceAnOrder", state.value)
        self.counts["deliveries_settled", labels] += 1

    def _make_noise(self) -> None:
        """Twice an hour a 502 or two; thrice a day TikTok throttles; once an hour a knock."""
        counts, chance = self.counts, self.random.random
        if chance() < 2 / 720:
            counts["destination_requests", ("tiktok", "deferred")] += 1 + (chance() < 0.5)
        if chance() < 3 / 17_280:
            counts["destination_requests", ("tiktok", "throttled")] += 1
            self.throttled_until = self.now + timedelta(seconds=10 + 10 * chance())
        if chance() < 1 / 720:
            counts["requests_refused", ("shop", "unauthorized")] += 1
            counts["requests_refused", ("unknown", "unknown-source")] += 1

    def _snapshot(self) -> Snapshot:
        waits = self.throttled_until is not None and self.now < self.throttled_until
        condition = Condition.THROTTLED if waits else Condition.FLOWING
        oldest = self.now - timedelta(seconds=20 if waits else 1)
        return Snapshot(
            at=self.now,
            sources=frozenset(self.rates),
            lanes={"tiktok": LaneFigures(condition, turned_at=self.now)},
            waiting=(Waiting("tiktok", State.PENDING, 3, oldest),),
            store=StoreFigures(sizes=_SIZES, commits=self.now.timestamp(), commit_seconds=0.0),
            counters=dict(self.counts),
        )


def never(_: datetime) -> float:
    """Nothing."""
    return 0.0

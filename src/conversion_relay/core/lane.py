"""The way to one partner with one credential: may something be sent now, and how much?

A lane is a value; each answer gives the next one. Its breaker opens when the partner is away, it
is held while credentials or settings are refused, and it slows down when the partner asks for it.
A lane that does not flow sends probes of one delivery; the first good answer lets it flow again.
So does one that is in doubt, because the last requests failed, but with shorter pauses.
Pure: the present and the jitter are arguments. Knows no partner, no store and no delivery's life.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, assert_never

from conversion_relay.core.delivery import Throttled
from conversion_relay.core.signal import Answer, Signal

_SECOND: Final = timedelta(seconds=1)
_MOST_PER_SECOND: Final = 900.0
_LARGEST_BATCH: Final = 1_000
_GROWTH: Final = 8
_CAREFUL: Final = 50
_DOUBTFUL: Final = 2
"""After so many failed requests in a row no batch is risked: its events would lose attempts."""


class Condition(Enum):
    """How a lane is."""

    FLOWING = "flowing"
    THROTTLED = "throttled"  # the partner said that too much is sent
    OPEN = "open"  # the breaker: the partner is away
    HELD = "held"  # the partner refuses the credentials or the settings


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """When a lane stops, how it looks whether it may go on, and how fast it may be.

    Attributes:
        failures: so many failed requests in a row open the breaker. Some per cent of TikTok's
            answers come too late on an ordinary day, so that two or three mean little.
        probe_least: the shortest time between two probes while it is open or throttled.
        probe_most: the longest; the time is drawn between both.
        doubt_pause: between two probes while it is in doubt: those before may hang.
        held_pause: between two probes while it is held.
        batch: deliveries in one request, at most; a destination may allow fewer.
        requests_per_second: the most. TikTok allows 1,000 for an application, which several lanes
            may share. Source: business-api.tiktok.com, "Rate limits" (read 2026-11-21).
        least_per_second: however often it was throttled.
    """

    failures: int = 5
    probe_least: timedelta = timedelta(seconds=10)
    probe_most: timedelta = timedelta(seconds=20)
    doubt_pause: timedelta = timedelta(seconds=4)
    held_pause: timedelta = timedelta(seconds=20)
    batch: int = _LARGEST_BATCH
    requests_per_second: float = _MOST_PER_SECOND
    least_per_second: float = 0.2


@dataclass(frozen=True, slots=True)
class Go:
    """A batch may be sent now, of at most so many deliveries."""

    most: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One delivery may be sent now, to see how the partner is."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be sent before."""

    until: datetime


Permit = Go | Probe | Wait


@dataclass(frozen=True, slots=True)
class Lane:
    """How a lane is now.

    Attributes:
        condition: see Condition.
        since: when it got into it; None of a lane that never left FLOWING.
        reason: the words with which it stopped flowing, None while it flows.
        failures: failed requests in a row.
        next_at: nothing is sent before.
        timed_at: when `next_at` was said. A present before it means that the clock was set back,
            and then `next_at` means nothing.
        most: deliveries in the next request; shrinks with failures and grows with answers, so that
            neither a slow connection nor a partner that comes and goes costs many events an
            attempt.
        safe: up to here `most` grows fast, beyond slowly: half of what failed last.
        per_second: requests, at most.
        counted_from: since when `count` counts, up to a second.
        count: requests in that time.
        last_rate: requests in the second before.
    """

    condition: Condition = Condition.FLOWING
    since: datetime | None = None
    reason: str | None = None
    failures: int = 0
    next_at: datetime | None = None
    timed_at: datetime | None = None
    most: int = _LARGEST_BATCH
    safe: int = _LARGEST_BATCH
    per_second: float = _MOST_PER_SECOND
    counted_from: datetime | None = None
    count: int = 0
    last_rate: float = 0.0

    def permit(self, now: datetime) -> Permit:
        """What may be sent now."""
        until = self.waits_until(now)
        if until is not None:
            return Wait(until)
        return Probe() if _probes(self) else Go(self.most)

    def waits_until(self, now: datetime) -> datetime | None:
        """When it may send next, or None: now."""
        if self.next_at is None or self.timed_at is None:
            return None
        return self.next_at if self.timed_at <= now < self.next_at else None


def _probes(lane: Lane) -> bool:
    return lane.condition is not Condition.FLOWING or lane.failures >= _DOUBTFUL


def _timed(lane: Lane, now: datetime, pause: timedelta) -> Lane:
    """Nothing is sent before the end of the pause, which may have passed already."""
    return replace(lane, next_at=now + pause, timed_at=now)


def new_lane(policy: LanePolicy) -> Lane:
    """One that flows, as fast as the policy lets it."""
    return Lane(most=policy.batch, safe=policy.batch, per_second=policy.requests_per_second)


def sent(lane: Lane, policy: LanePolicy, now: datetime, jitter: float) -> Lane:
    """The lane once a request of it is on its way; `jitter` is uniform in [0, 1).

    Probes are timed from here, not from their end: one that hangs must not put off the next.
    """
    if _probes(lane):
        return _timed(lane, now, _pause(lane.condition, policy, jitter))
    following = (lane.waits_until(now) or now) - now + _SECOND / lane.per_second
    if lane.counted_from is None or not _SECOND > now - lane.counted_from >= timedelta():
        rate = float(lane.count)
        counted = replace(lane, counted_from=now, count=1, last_rate=rate)
    else:
        counted = replace(lane, count=lane.count + 1)
    return _timed(counted, now, following)


def answered(lane: Lane, answer: Answer, policy: LanePolicy) -> Lane:
    """The lane after a request has ended."""
    if is_stale(lane, answer):
        return lane
    match answer.signal:
        case Signal.ALIVE:
            return _alive(lane, answer, policy)
        case Signal.FAILED:
            return _failed(lane, answer, policy)
        case Signal.THROTTLED:
            return _throttled(lane, answer, policy)
        case Signal.REFUSED:
            return _stopped(lane, Condition.HELD, answer, policy)
        case _:
            assert_never(answer.signal)


def is_stale(lane: Lane, answer: Answer) -> bool:
    """Whether the lane has become another since the request, so that this says nothing of it.

    That the partner answers at all ends an open lane, whenever it was asked.
    """
    if lane.since is None or answer.sent_at >= lane.since:
        return False
    return not (answer.signal is Signal.ALIVE and lane.condition is Condition.OPEN)


def resumed(lane: Lane, now: datetime) -> Lane:
    """The lane after somebody changed what held it: it is tried at once, with one delivery."""
    return lane if lane.condition is Condition.FLOWING else _timed(lane, now, timedelta())


def _pause(condition: Condition, policy: LanePolicy, jitter: float) -> timedelta:
    if condition is Condition.FLOWING:
        return policy.doubt_pause
    if condition is Condition.HELD:
        return policy.held_pause
    return policy.probe_least + (policy.probe_most - policy.probe_least) * jitter


def _alive(lane: Lane, answer: Answer, policy: LanePolicy) -> Lane:
    """One good answer lets it flow, but the first failure after it would cast doubt on it."""
    if lane.condition is not Condition.FLOWING:
        flowing = replace(
            lane,
            condition=Condition.FLOWING,
            since=answer.at,
            reason=None,
            failures=_DOUBTFUL - 1,
            most=min(policy.batch, _GROWTH),
            safe=policy.batch,
            count=0,
        )
        return _timed(flowing, answer.at, _SECOND / lane.per_second)
    faster = lane.per_second + min(1.0, 1.0 / lane.per_second)
    grown = max(lane.most, _grown(len(answer.outcomes), lane.safe))
    sure = _timed(lane, answer.at, _SECOND / lane.per_second) if _probes(lane) else lane
    return replace(
        sure,
        failures=0,
        most=min(policy.batch, grown),
        per_second=min(policy.requests_per_second, faster),
    )


def _grown(size: int, safe: int) -> int:
    """What may be risked after so many were answered."""
    careful = size + max(1, size // _CAREFUL)
    return max(careful, min(safe, size * _GROWTH))


def _failed(lane: Lane, answer: Answer, policy: LanePolicy) -> Lane:
    """Smaller requests; after some failures in a row an open breaker."""
    if lane.condition is not Condition.FLOWING:
        return replace(lane, reason=answer.reason)
    failures = lane.failures + 1
    if failures >= policy.failures:
        return _stopped(lane, Condition.OPEN, answer, policy)
    size = len(answer.outcomes)
    safe = lane.safe if size == 1 else size // 2  # one alone says nothing of sizes
    return replace(lane, failures=failures, safe=safe, most=min(lane.most, safe))


def _throttled(lane: Lane, answer: Answer, policy: LanePolicy) -> Lane:
    """Half of what was sent at last, and nothing before the partner's own time, if it gave one."""
    if lane.condition is Condition.HELD:
        return lane
    slower = lane
    if lane.condition is Condition.FLOWING:
        measured = max(lane.last_rate, float(lane.count))
        halved = min(lane.per_second, measured) / 2
        slower = replace(lane, per_second=max(policy.least_per_second, halved))
    stopped = _stopped(slower, Condition.THROTTLED, answer, policy)
    asked = [one.not_before for one in answer.outcomes if isinstance(one, Throttled)]
    until = answer.at + max([policy.probe_least, *filter(None, asked)])
    if stopped.next_at is not None and until <= stopped.next_at:
        return stopped
    return _timed(stopped, answer.at, until - answer.at)


def _stopped(lane: Lane, condition: Condition, answer: Answer, policy: LanePolicy) -> Lane:
    """Not flowing any more. What hung for long before it failed has waited enough for a probe."""
    if lane.condition is condition:
        return replace(lane, reason=answer.reason)
    stopped = replace(lane, condition=condition, since=answer.at, reason=answer.reason)
    pause = _pause(condition, policy, answer.jitter)
    return _timed(stopped, answer.at, answer.sent_at + pause - answer.at)

"""The way to one partner with one credential: may something be sent now, and how much?

A lane is a value; each answer gives the next one. Its breaker opens when the partner is away, it
is held while credentials or settings are refused, and it slows down when the partner asks for it.
A lane that does not flow sends probes of one delivery; the first good answer lets it flow again.
So does one that is in doubt, because the last requests failed, but without pauses in between.
Pure: the present and the jitter are arguments. Knows no partner, no store and no delivery's life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, assert_never

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Outcome,
    Refused,
    Suspect,
    Throttled,
    Unknown,
)

_SECOND: Final = timedelta(seconds=1)
_MOST_PER_SECOND: Final = 900.0
_LARGEST_BATCH: Final = 1_000
_GROWTH: Final = 8
_DOUBTFUL: Final = 2
"""After so many failed requests in a row no batch is risked: its events would lose attempts."""


class Condition(Enum):
    """How a lane is."""

    FLOWING = "flowing"
    THROTTLED = "throttled"  # the partner said that too much is sent
    OPEN = "open"  # the breaker: the partner is away
    HELD = "held"  # the partner refuses the credentials or the settings


class Signal(Enum):
    """What one request told of the lane, whatever it told of its events."""

    ALIVE = "alive"  # the partner read the request and judged its events
    FAILED = "failed"  # no answer, or one of a partner that cannot work
    THROTTLED = "throttled"
    REFUSED = "refused"  # for the credentials or the settings


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """When a lane stops, how it looks whether it may go on, and how fast it may be.

    Attributes:
        failures: so many failed requests in a row open the breaker. Some per cent of TikTok's
            answers come too late on an ordinary day, so that two or three mean little.
        probe_least: the shortest time between two probes while it is open or throttled.
        probe_most: the longest; the time is drawn between both.
        held_pause: between two probes while it is held.
        batch: deliveries in one request, at most; a destination may allow fewer.
        requests_per_second: the most. TikTok allows 1,000 for an application, which several lanes
            may share. Source: business-api.tiktok.com, "Rate limits" (read 2026-11-21).
        least_per_second: however often it was throttled.
    """

    failures: int = 5
    probe_least: timedelta = timedelta(seconds=10)
    probe_most: timedelta = timedelta(seconds=20)
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
    per_second: float = _MOST_PER_SECOND
    counted_from: datetime | None = None
    count: int = 0
    last_rate: float = 0.0

    def permit(self, now: datetime) -> Permit:
        """What may be sent now."""
        until = self.waits_until(now)
        if until is not None:
            return Wait(until)
        if self.condition is Condition.FLOWING and self.failures < _DOUBTFUL:
            return Go(self.most)
        return Probe()

    def waits_until(self, now: datetime) -> datetime | None:
        """When it may send next, or None: now."""
        if self.next_at is None or self.timed_at is None:
            return None
        return self.next_at if self.timed_at <= now < self.next_at else None


def _timed(lane: Lane, now: datetime, pause: timedelta) -> Lane:
    """Nothing is sent before the end of the pause."""
    return replace(lane, next_at=now + pause, timed_at=now)


def new_lane(policy: LanePolicy) -> Lane:
    """One that flows, as fast as the policy lets it."""
    return Lane(most=policy.batch, per_second=policy.requests_per_second)


def signal_of(outcomes: Sequence[Outcome]) -> Signal:
    """What the outcomes of one request tell of its lane."""
    signals = {_signal(outcome) for outcome in outcomes}
    return next(signal for signal in _STRONGEST_FIRST if signal in signals)


def sent(lane: Lane, policy: LanePolicy, now: datetime, jitter: float) -> Lane:
    """The lane once a request of it is on its way; `jitter` is uniform in [0, 1).

    Probes are timed from here, not from their end: one that hangs must not put off the next.
    """
    if lane.condition is not Condition.FLOWING:
        return _timed(lane, now, _pause(lane.condition, policy, jitter))
    following = (lane.waits_until(now) or now) - now + _SECOND / lane.per_second
    if lane.counted_from is None or not _SECOND > now - lane.counted_from >= timedelta():
        rate = float(lane.count)
        counted = replace(lane, counted_from=now, count=1, last_rate=rate)
    else:
        counted = replace(lane, count=lane.count + 1)
    return _timed(counted, now, following)


def answered(
    lane: Lane, outcomes: Sequence[Outcome], policy: LanePolicy, now: datetime, jitter: float
) -> Lane:
    """The lane after an answer, or after none came; `jitter` is uniform in [0, 1)."""
    signal = signal_of(outcomes)
    match signal:
        case Signal.ALIVE:
            return _alive(lane, policy, now)
        case Signal.FAILED:
            return _failed(lane, _words(outcomes), policy, now, jitter)
        case Signal.THROTTLED:
            return _throttled(lane, outcomes, policy, now, jitter)
        case Signal.REFUSED:
            return _stopped(lane, Condition.HELD, _words(outcomes), policy, now, jitter)
        case _:
            assert_never(signal)


def resumed(lane: Lane, now: datetime) -> Lane:
    """The lane after somebody changed what held it: it is tried at once, with one delivery."""
    return lane if lane.condition is Condition.FLOWING else _timed(lane, now, timedelta())


_STRONGEST_FIRST: Final = (Signal.REFUSED, Signal.THROTTLED, Signal.ALIVE, Signal.FAILED)


def _signal(outcome: Outcome) -> Signal:
    match outcome:
        case Accepted() | Refused() | Companion() | Suspect():
            return Signal.ALIVE
        case Deferred() | Unknown():
            return Signal.FAILED
        case Throttled():
            return Signal.THROTTLED
        case CredentialProblem():
            return Signal.REFUSED
        case _:
            assert_never(outcome)


def _words(outcomes: Sequence[Outcome]) -> str | None:
    return next((one.reason for one in outcomes if not isinstance(one, Accepted)), None)


def _pause(condition: Condition, policy: LanePolicy, jitter: float) -> timedelta:
    if condition is Condition.HELD:
        return policy.held_pause
    return policy.probe_least + (policy.probe_most - policy.probe_least) * jitter


def _alive(lane: Lane, policy: LanePolicy, now: datetime) -> Lane:
    """One good answer lets it flow, but the first failure after it would stop it again."""
    if lane.condition is not Condition.FLOWING:
        flowing = replace(
            lane,
            condition=Condition.FLOWING,
            since=now,
            reason=None,
            failures=policy.failures - 1,
            most=1,
            count=0,
        )
        return _timed(flowing, now, _SECOND / lane.per_second)
    faster = lane.per_second + min(1.0, 1.0 / lane.per_second)
    return replace(
        lane,
        failures=0,
        most=min(policy.batch, lane.most * _GROWTH),
        per_second=min(policy.requests_per_second, faster),
    )


def _failed(
    lane: Lane, reason: str | None, policy: LanePolicy, now: datetime, jitter: float
) -> Lane:
    if lane.condition is not Condition.FLOWING:
        return replace(lane, reason=reason)
    failures = lane.failures + 1
    if failures >= policy.failures:
        return _stopped(lane, Condition.OPEN, reason, policy, now, jitter)
    return replace(lane, failures=failures, most=max(1, lane.most // 2))


def _throttled(
    lane: Lane, outcomes: Sequence[Outcome], policy: LanePolicy, now: datetime, jitter: float
) -> Lane:
    """Half of what was sent at last, and nothing before the partner's own time, if it gave one."""
    asked = [one.not_before for one in outcomes if isinstance(one, Throttled) and one.not_before]
    if lane.condition is Condition.HELD:
        return lane
    slower = lane
    if lane.condition is Condition.FLOWING:
        measured = max(lane.last_rate, float(lane.count))
        halved = min(lane.per_second, measured) / 2
        slower = replace(lane, per_second=max(policy.least_per_second, halved))
    stopped = _stopped(slower, Condition.THROTTLED, _words(outcomes), policy, now, jitter)
    return _timed(stopped, now, max(asked)) if asked else stopped


def _stopped(
    lane: Lane,
    condition: Condition,
    reason: str | None,
    policy: LanePolicy,
    now: datetime,
    jitter: float,
) -> Lane:
    """Not flowing any more; an answer to an earlier request changes neither since nor probes."""
    if lane.condition is condition:
        return replace(lane, reason=reason)
    stopped = replace(lane, condition=condition, since=now, reason=reason)
    return _timed(stopped, now, _pause(condition, policy, jitter))

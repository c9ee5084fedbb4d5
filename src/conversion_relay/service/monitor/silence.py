"""When a source that used to send is quiet for too long: its habits, and the rule.

Pure. A source is silent when it has been quiet for longer than all of these:

1. LEAST (45 s);
2. PATIENCE (15) times the usual time between two arrivals, as it was just before;
3. three times its second longest pause of at least a minute around this time of the day, during
   the last two weeks: a pause has to have happened twice before it is believed (of a source that
   is known for less than a day, once);

and when it was not as quiet at the same time on most of the last seven days, or on the same day of
most weeks. So a shop that is closed at night is not silent at night, one day's outage teaches
nothing, and what sends seldom needs proportionally longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log
from typing import Final

from conversion_relay.service.monitor.course import minute_of

LEAST: Final = timedelta(seconds=45)
PATIENCE: Final = 15
KNOWN_FOR: Final = timedelta(days=14)
"""Nothing older is remembered of a source."""
LEAST_ARRIVALS: Final = 5
LEAST_KNOWN: Final = timedelta(minutes=2)
"""A source that was heard less often, or only for a shorter time, has no habits yet."""
_TICK: Final = timedelta(seconds=5)
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_LATELY: Final = timedelta(minutes=10)
_LATELY_LEAST: Final = 20
_ARRIVALS: Final = 130
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_MOST_PAUSES: Final = 5_000
_IN_A_MINUTE: Final = int(_MINUTE / _TICK)
_AROUND: Final = timedelta(hours=2)
_TIMES_LONGEST: Final = 3
_TOLERANCE: Final = timedelta(minutes=75)
"""More than an hour, so that a change to summer time is no silence."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Some time of at least a minute in which a source sent nothing."""

    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Habits:
    """What is known of a source.

    Attributes:
        first: when it was heard first, as far as that is remembered.
        arrivals: when it was heard lately, oldest first; much at once counts as one.
        pauses: its pauses, oldest first.
        heard: how often it was heard, up to LEAST_ARRIVALS.
    """

    first: datetime
    arrivals: tuple[datetime, ...]
    pauses: tuple[Pause, ...] = field(default=())
    heard: int = 0

    @property
    def last(self) -> datetime:
        """When it was heard last."""
        return self.arrivals[-1]

    @property
    def known_for(self) -> timedelta:
        """From its first to its last arrival."""
        return self.last - self.first


def heard(habits: Habits | None, at: datetime, started_at: datetime = _EVER) -> Habits:
    """The habits with an arrival at that time.

    Args:
        habits: of the source; None: it is heard for the first time.
        at: of the arrival, aware.
        started_at: since when the service looks; before that, nobody could be heard.
    """
    if habits is None:
        return Habits(at, (at,), heard=1)
    if at <= habits.last:  # the clock was set back: what lies ahead would make it quiet
        return replace(habits, arrivals=(*(one for one in habits.arrivals if one < at), at))
    pauses = habits.pauses
    pause = Pause(max(habits.last, min(started_at, at)), at)
    if pause.length >= _MINUTE:
        kept = (one for one in pauses if one.end > at - KNOWN_FOR)
        pauses = (*kept, pause)[-_MOST_PAUSES:]
    count = min(habits.heard + 1, LEAST_ARRIVALS)
    return Habits(habits.first, (*habits.arrivals, at)[-_ARRIVALS:], pauses, count)


def learnt(minutes: Sequence[tuple[datetime, int]], watched: Iterable[datetime]) -> Habits | None:
    """Habits from how often a source was heard in past minutes, oldest first; None: never.

    Args:
        minutes: the beginning of each minute in which it was heard, and how often.
        watched: the minutes in which the service looked; a pause with another one in it is none.
    """
    if not minutes:
        return None
    stretches = _stretches(watched)
    pauses = tuple(
        Pause(begin + _MINUTE, end)
        for (begin, _), (end, _) in pairwise(minutes)
        if end - begin > _MINUTE and stretches.get(begin) == stretches.get(end)
    )
    arrivals = [at for minute, count in minutes[-_ARRIVALS:] for at in _spread(minute, count)]
    heard_so_far = min(sum(count for _, count in minutes), LEAST_ARRIVALS)
    return Habits(
        minutes[0][0], tuple(arrivals[-_ARRIVALS:]), pauses[-_MOST_PAUSES:], heard_so_far
    )


def _stretches(watched: Iterable[datetime]) -> dict[datetime, int]:
    """The number of the unbroken stretch to which each watched minute belongs."""
    numbers: dict[datetime, int] = {}
    before: datetime | None = None
    number = 0
    for minute in watched:
        number += before is not None and minute - before > 2 * _MINUTE
        numbers[minute] = number
        before = minute
    return numbers


def _spread(minute: datetime, count: int) -> list[datetime]:
    parts = min(max(count, 1), _IN_A_MINUTE)
    return [minute + _MINUTE * number / parts for number in range(parts)]


def quiet_too_long(habits: Habits, since: datetime, now: datetime) -> timedelta | None:
    """How long it may be quiet now, if it has been quiet for longer; None: all is well.

    Args:
        habits: of the source.
        since: since when it is quiet: its last sign of life, or the start of the service.
        now: the present, aware.
    """
    quiet = now - since
    if quiet <= LEAST or habits.heard < LEAST_ARRIVALS or habits.known_for < LEAST_KNOWN:
        return None
    allowed = max(LEAST, PATIENCE * usual_gap(habits))
    if quiet <= allowed:
        return None
    rank = 1 if now - habits.first < _DAY else 2
    allowed = max(allowed, _TIMES_LONGEST * _longest(rank, habits.pauses, now))
    if quiet <= allowed or _was_as_quiet(habits, since, now):
        return None
    return allowed


def usual_gap(habits: Habits) -> timedelta:
    """The time between two arrivals, as it was before the last one.

    Of a busy source it is told by how many of the last ticks were empty, of another by its last
    arrivals.
    """
    last, arrivals = habits.last, habits.arrivals
    lately = [one for one in arrivals if one > last - _LATELY]
    if len(lately) >= _LATELY_LEAST:
        slots = max(min(_LATELY, habits.known_for) / _TICK, len(lately))
        return _TICK / -log(1 - len(lately) / (slots + 1))
    some = arrivals[-_LATELY_LEAST - 1 :]
    return (some[-1] - some[0]) / max(len(some) - 1, 1)


def _longest(rank: int, pauses: Sequence[Pause], now: datetime) -> timedelta:
    """Of this rank among the pauses that lie around this time of the day; nothing of fewer."""
    lengths = sorted(pause.length for pause in pauses if _is_around(pause, now))
    return lengths[-rank] if len(lengths) >= rank else timedelta()


def _is_around(pause: Pause, now: datetime) -> bool:
    """Whether it began and ended within two hours of this time of some day."""
    return all(_apart(moment, now) <= _AROUND for moment in (pause.begin, pause.end)) and (
        pause.length <= 2 * _AROUND
    )


def _apart(moment: datetime, now: datetime) -> timedelta:
    """By the clock, whatever the day."""
    apart = (now - moment) % _DAY
    return min(apart, _DAY - apart)


def _was_as_quiet(habits: Habits, since: datetime, now: datetime) -> bool:
    """On most of the last days, or on this day of most weeks."""
    week = [timedelta(days=days) for days in range(1, 8)]
    weeks = [timedelta(days=days) for days in (7, 14)]
    return any(_mostly_quiet(habits, since, now, agos) for agos in (week, weeks))


def _mostly_quiet(
    habits: Habits, since: datetime, now: datetime, agos: Sequence[timedelta]
) -> bool:
    known = [ago for ago in agos if habits.first <= since - ago]
    covered = [ago for ago in known if _covered(habits.pauses, since - ago, now - ago)]
    return bool(covered) and 2 * len(covered) >= len(known)


def _covered(pauses: Sequence[Pause], begin: datetime, end: datetime) -> bool:
    """Whether one of these pauses lasted as long at about that time."""
    return any(
        pause.begin - _slack(pause) <= begin and end <= pause.end + _slack(pause)
        for pause in pauses
    )


def _slack(pause: Pause) -> timedelta:
    return min(_TOLERANCE, pause.length / 2)


def minutes_of(arrivals: Iterable[datetime]) -> list[tuple[datetime, int]]:
    """How many of these arrivals fell into each minute."""
    found: dict[datetime, int] = {}
    for at in arrivals:
        found[minute_of(at)] = found.get(minute_of(at), 0) + 1
    return sorted(found.items())

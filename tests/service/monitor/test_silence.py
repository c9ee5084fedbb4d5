"""When a source is silent: by its habits, the time of the day, and the day of the week."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random

import pytest

from conversion_relay.service.monitor.silence import (
    KNOWN_FOR,
    LEAST,
    Habits,
    Pause,
    heard,
    learnt,
    quiet_too_long,
    usual_gap,
)
from support.time import START  # a Saturday, 12:00

TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Sends = Callable[[datetime], bool]


def _habits(sends: Sends, length: timedelta, until: datetime = START) -> Habits:
    """Of a source that was watched for so long, tick by tick."""
    found: Habits | None = None
    at = until - length
    while at < until:
        at += TICK
        if sends(at):
            found = heard(found, at)
    assert found is not None
    return found


def _from_minutes(sends: Sends, length: timedelta, until: datetime = START) -> Habits:
    """Of a source whose past was read, minute by minute."""
    begin = until - length
    minutes = [begin + number * MINUTE for number in range(length // MINUTE)]
    found = learnt([(minute, 60) for minute in minutes if sends(minute)], minutes)
    assert found is not None
    return found


def _noticed_after(habits: Habits, until: timedelta = 20 * DAY) -> timedelta | None:
    """How long after its last arrival it is called silent."""
    for quiet in _growing(until):
        if quiet_too_long(habits, habits.last, habits.last + quiet) is not None:
            return quiet
    return None


def _growing(until: timedelta) -> Iterator[timedelta]:
    quiet = TICK
    while quiet < until:
        yield quiet
        quiet += max(TICK, quiet // 50 // TICK * TICK)


def _every(seconds: int) -> Sends:
    return lambda at: int(at.timestamp()) % seconds == 0


@pytest.mark.parametrize(
    ("seconds", "known", "least", "most"),
    [
        (5, 10 * MINUTE, 45, 55),
        (5, 3 * MINUTE, 45, 55),
        (10, HOUR, 60, 120),
        (60, 2 * HOUR, 600, 1_200),
        (300, 6 * HOUR, 600, 5_000),  # a burst every five minutes
        (900, 2 * DAY, 1_800, 15_000),  # a batch every quarter of an hour
        (3_600, 10 * DAY, 2 * 3_600, 16 * 3_600),
    ],
)
def test_who_sends_seldom_is_given_more_time(
    seconds: int, known: timedelta, least: int, most: int
) -> None:
    noticed = _noticed_after(_habits(_every(seconds), known))
    assert noticed is not None
    assert timedelta(seconds=least) <= noticed <= timedelta(seconds=most)


def test_an_irregular_source_of_one_in_three_seconds_is_missed_within_a_minute() -> None:
    random = Random(2)  # noqa: S311 - a seeded test
    habits = _habits(lambda _: random.random() < 0.81, 6 * HOUR)
    noticed = _noticed_after(habits)
    assert noticed is not None
    assert noticed <= timedelta(seconds=55)


@pytest.mark.parametrize("times", [1, 4])
def test_a_source_that_was_hardly_ever_heard_is_not_silent(times: int) -> None:
    found: Habits | None = None
    for number in range(times):
        found = heard(found, START + number * HOUR)
    assert found is not None
    assert _noticed_after(found) is None


def test_a_source_that_was_tried_out_for_a_moment_is_not_silent() -> None:
    assert _noticed_after(_habits(_every(5), MINUTE)) is None


def _closed(at: datetime) -> bool:
    return at.hour < 1 or at.hour >= 6


def _weekdays(at: datetime) -> bool:
    return at.weekday() < 5


@pytest.mark.parametrize("days", [1, 3, 14])
def test_a_shop_that_closes_at_night_is_not_silent_at_night(days: int) -> None:
    midnight = START.replace(hour=1)
    habits = _from_minutes(_closed, days * DAY + 2 * HOUR, midnight)
    assert quiet_too_long(habits, habits.last, midnight + 4 * HOUR) is None
    assert quiet_too_long(habits, habits.last, midnight + 5 * HOUR + 10 * MINUTE) is None
    assert quiet_too_long(habits, habits.last, midnight + 8 * HOUR) is not None


@pytest.mark.parametrize("days", [3, 14])
def test_it_is_missed_at_once_in_the_afternoon(days: int) -> None:
    habits = _from_minutes(_closed, days * DAY)
    noticed = _noticed_after(habits)
    assert noticed is not None
    assert noticed <= timedelta(seconds=60)


def test_a_weekend_that_was_quiet_before_is_quiet_again() -> None:
    saturday = START.replace(hour=0)
    habits = _from_minutes(_weekdays, 8 * DAY, saturday)
    assert quiet_too_long(habits, habits.last, saturday + 40 * HOUR) is None


def test_the_monday_after_it_is_not_excused_by_it() -> None:
    monday_noon = START + 2 * DAY
    assert monday_noon.weekday() == 0
    noticed = _noticed_after(_from_minutes(_weekdays, 14 * DAY, monday_noon))
    assert noticed is not None
    assert noticed <= timedelta(seconds=60)


def test_the_outage_of_one_day_excuses_no_other() -> None:
    def sends(at: datetime) -> bool:
        return not START - DAY - HOUR <= at < START - DAY + HOUR

    habits = _from_minutes(sends, 9 * DAY)
    noticed = _noticed_after(habits)
    assert noticed is not None
    assert noticed <= timedelta(seconds=60)


def test_an_hour_of_summer_time_is_no_silence() -> None:
    closing = START.replace(hour=0)  # an hour earlier than on the days before
    habits = _from_minutes(_closed, 7 * DAY, closing)
    assert quiet_too_long(habits, closing, closing + 4 * HOUR) is None


def test_pauses_in_which_nobody_listened_are_none() -> None:
    begin = START - 4 * HOUR
    minutes = [begin + number * MINUTE for number in range(240)]
    watched = [one for one in minutes if not begin + HOUR <= one < begin + 2 * HOUR]
    habits = learnt([(one, 60) for one in watched], watched)
    assert habits is not None
    assert habits.pauses == ()
    attentive = learnt([(one, 60) for one in watched], minutes)
    assert attentive is not None
    assert attentive.pauses == (Pause(begin + HOUR, begin + 2 * HOUR),)


def test_that_nobody_looked_is_no_pause_of_the_source() -> None:
    habits = _habits(_every(5), HOUR)
    away = START + 10 * MINUTE
    back = heard(habits, away + 3 * TICK, started_at=away)
    assert back.pauses == habits.pauses
    late = heard(habits, away + 2 * MINUTE, started_at=away)
    assert late.pauses == (*habits.pauses, Pause(away, away + 2 * MINUTE))


def test_nothing_is_learnt_of_who_was_never_heard() -> None:
    assert learnt([], [START]) is None


def test_quiet_counts_from_the_start_of_the_service() -> None:
    habits = _habits(_every(5), HOUR, START - 2 * HOUR)
    assert quiet_too_long(habits, START, START + LEAST) is None
    assert quiet_too_long(habits, START, START + LEAST + TICK) == LEAST


def test_a_clock_that_is_set_back_makes_nobody_silent() -> None:
    habits = heard(_habits(_every(5), HOUR), START - 30 * MINUTE)
    assert habits.last == START - 30 * MINUTE
    assert usual_gap(habits) < 10 * TICK


def test_old_pauses_are_forgotten() -> None:
    habits = heard(heard(None, START), START + HOUR)
    assert habits.pauses == (Pause(START, START + HOUR),)
    later = heard(heard(habits, START + KNOWN_FOR + DAY), START + KNOWN_FOR + DAY + HOUR)
    assert Pause(START, START + HOUR) not in later.pauses

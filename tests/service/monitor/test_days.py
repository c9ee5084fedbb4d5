"""Days of ordinary traffic: no alert; and whoever falls silent in them is missed at once.

`make fuzz` watches whole days and a week; the suite a morning, and the days around a weekend.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random

import pytest

from conversion_relay.service.alerting.alert import News
from conversion_relay.service.monitor.course import minute_of
from conversion_relay.service.monitor.figures import Snapshot
from conversion_relay.service.monitor.heart import Heart, Orders
from conversion_relay.service.monitor.learning import Lessons
from conversion_relay.service.monitor.life import Told
from conversion_relay.service.monitor.silence import (
    Habits,
    heard,
    learnt,
    quiet_too_long,
)
from support.days import SATURDAY, SOURCES, STEP, Days, never, poisson

DAY = timedelta(days=1)
WHOLE = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"


def _taught(days: Days, length: timedelta) -> Heart:
    """A monitor that was started now, with so much past."""
    lessons = Lessons(days.now)
    lessons.learn(list(days.past(length)))
    return Heart(days.now).taught(lessons)


def _watch(heart: Heart, snapshots: Iterable[Snapshot]) -> tuple[Heart, Sequence[Told]]:
    told: list[Told] = []
    for snapshot in snapshots:
        heart, news, broken = heart.then(snapshot, Orders())
        assert not broken
        told += news
    return heart, told


@pytest.mark.slow
def test_a_day_of_ordinary_traffic_raises_no_alert() -> None:
    days = Days(SATURDAY if WHOLE else SATURDAY.replace(hour=5), 5)
    _, told = _watch(_taught(days, 8 * DAY), days.snapshots(DAY if WHOLE else DAY / 6))
    assert told == []


@pytest.mark.parametrize("hour", [8, 13, 19, 23])
def test_a_busy_source_is_missed_within_a_minute_at_any_time_of_the_day(hour: int) -> None:
    days = Days(SATURDAY.replace(hour=hour, minute=17) + 2 * DAY, hour)
    heart, told = _watch(_taught(days, 8 * DAY), days.snapshots(timedelta(minutes=20)))
    assert told == []
    days.rates["shop"] = never
    quiet_from = days.now
    heart, told = _watch(heart, days.snapshots(timedelta(minutes=1)))
    ((news, alert),) = told
    assert (news, alert.finding.rule, alert.finding.subject) == (News.OPENED, "silence", "shop")
    assert alert.opened_at - quiet_from <= timedelta(minutes=1)
    days.rates["shop"] = SOURCES["shop"]
    _, told = _watch(heart, days.snapshots(timedelta(minutes=2)))
    assert [news for news, _ in told] == [News.RESOLVED]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_a_week_with_its_weekend_and_restarts_has_no_silence(name: str) -> None:
    """By the rule of silence alone; the service starts anew every 50 hours."""
    random, rate = Random(11), SOURCES[name]  # noqa: S311 - seeded traffic
    now = started_at = SATURDAY - (3 if WHOLE else 1) * DAY
    minutes = dict(_past(name, now))
    watched = {now - number * timedelta(minutes=1) for number in range(8 * 24 * 60)}
    habits: Habits | None = learnt(sorted(minutes.items()), sorted(watched))
    while now < SATURDAY + (4 if WHOLE else 2) * DAY:
        now += STEP
        watched.add(minute_of(now))
        count = poisson(rate(now) * STEP.total_seconds(), random)
        if count:
            minutes[minute_of(now)] = minutes.get(minute_of(now), 0) + count
            habits = heard(habits, now)
        assert habits is not None
        assert quiet_too_long(habits, max(habits.last, started_at), now) is None, now
        if now - started_at > timedelta(hours=50):
            now = started_at = now + timedelta(minutes=3)
            habits = learnt(sorted(minutes.items()), sorted(watched))


def _past(name: str, now: datetime) -> Iterable[tuple[datetime, int]]:
    days = Days(now, 11, {name: SOURCES[name]})
    counts = [one for one in days.past(8 * DAY) if one.labels]
    return [(one.minute, one.count) for one in counts]

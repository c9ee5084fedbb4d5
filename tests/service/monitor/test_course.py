"""Windows over the counters: what grew when, over restarts and clocks that are set back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.course import COARSE, FINE, Course, Mark, grown, seen
from support.time import START

KEPT = ("events_kept", ("shop", "planned"))
UNMATCHED = ("events_kept", ("shop", "unmatched"))
OTHER = ("events_kept", ("app", "planned"))
TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)


def _steady(ticks: int, course: Course | None = None) -> Course:
    """One event in each tick, from the start on."""
    found = Course().then(START, {}) if course is None else course
    for number in range(1, ticks + 1):
        found = found.then(START + number * TICK, {KEPT: float(number)})
    return found


def test_a_window_holds_what_was_counted_in_it() -> None:
    course = _steady(100)
    now = START + 100 * TICK
    assert course.last(MINUTE, now).total("events_kept") == 12
    assert course.last(MINUTE, now).length == MINUTE
    assert course.last(timedelta(minutes=5), now).total("events_kept") == 60
    hour = course.last(timedelta(hours=1), now)
    assert (hour.total("events_kept"), hour.begin) == (100, START)
    before = course.before(MINUTE, now)
    assert before.total("events_kept") == 84  # the last whole minute before
    assert before.length == timedelta(minutes=7)


def test_counts_are_told_apart_by_their_labels() -> None:
    course = Course().then(START, {}).then(START + TICK, {KEPT: 3.0, UNMATCHED: 2.0, OTHER: 1.0})
    window = course.last(MINUTE, START + TICK)
    assert window.total("events_kept") == 6
    assert window.total("events_kept", source="shop") == 5
    assert window.total("events_kept", source="shop", disposition="planned") == 3
    assert window.by("events_kept", "disposition") == {("planned",): 4, ("unmatched",): 2}
    assert window.total("events_duplicate") == 0


def test_nothing_was_counted_before_the_first_reading() -> None:
    assert Course().last(MINUTE, START).grown == {}
    assert Course().before(MINUTE, START).length == timedelta()


def test_little_is_kept_of_long_times() -> None:
    ticks = (COARSE + timedelta(hours=1)) // TICK
    course = _steady(ticks)
    assert len(course.fine) <= FINE / TICK + 2
    assert len(course.coarse) <= COARSE / MINUTE + 2
    now = START + ticks * TICK
    assert course.last(timedelta(hours=1), now).total("events_kept") == 720


def test_a_clock_that_is_set_back_counts_nothing_twice() -> None:
    course = _steady(24).then(START + TICK, {KEPT: 25.0}).then(START + 2 * TICK, {KEPT: 26.0})
    assert course.last(MINUTE, START + 2 * TICK).total("events_kept") == 26


def test_the_past_is_put_before_what_was_counted_since() -> None:
    past = Course(
        coarse=(
            Mark(START - 3 * MINUTE, {}),
            Mark(START - 2 * MINUTE, {KEPT: 30.0}),
            Mark(START - MINUTE, {KEPT: 70.0}),
        )
    )
    course = _steady(12).after(past).then(START + 13 * TICK, {KEPT: 13.0})
    now = START + 13 * TICK
    assert course.last(MINUTE, now).total("events_kept") == 12
    assert course.last(timedelta(hours=1), now).total("events_kept") == 83
    assert course.before(timedelta(minutes=2), now).total("events_kept") == 70
    alone = _steady(12).after(Course())
    assert alone.last(MINUTE, START + MINUTE).total("events_kept") == 12


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_windows_of_any_length_agree_with_the_sum(steps: list[int]) -> None:
    course, total = Course().then(START, {}), 0
    for number, step in enumerate(steps, 1):
        total += step
        course = course.then(START + number * TICK, {KEPT: float(total)})
    now = START + len(steps) * TICK
    for ticks in range(1, 61):
        counted = course.last(ticks * TICK, now).total("events_kept")
        assert counted == sum(steps[-ticks:])


def test_only_what_grew_has_grown() -> None:
    assert grown({KEPT: 2.0, OTHER: 5.0}, {KEPT: 3.0, OTHER: 5.0, UNMATCHED: 1.0}) == {
        KEPT: 1.0,
        UNMATCHED: 1.0,
    }


def test_series_are_added_up_over_what_no_rule_asks_for() -> None:
    """However many sources and names of events there are, the course stays small."""
    sources, names = [f"shop-{n}" for n in range(50)], [f"Event {n}" for n in range(20)]
    delivered: dict[Reading, float] = {
        ("deliveries_settled", (source, "tiktok", "Order", name, "delivered")): 1.0
        for source in sources
        for name in names
    }
    planned: dict[Reading, float] = {
        ("deliveries_planned", (source, "tiktok", mapping, name)): 1.0
        for source in sources
        for name in names
        for mapping in ("Order", "View")
    }
    warned: dict[Reading, float] = {
        ("mapping_warnings", ("shop", "tiktok", "Order", "value")): 1.0
    }
    counts = seen({**delivered, **planned, **warned, KEPT: 3.0})
    assert len(counts) == len(sources) + 2 + 1
    window = Course().then(START, {}).then(START + TICK, counts).last(MINUTE, START + TICK)
    by_mapping = window.by("deliveries_planned", "mapping", destination="tiktok")
    assert by_mapping == {("Order",): 1000, ("View",): 1000}
    assert window.total("deliveries_settled", source="shop-7", state="delivered") == 20
    assert window.total("events_kept", source="shop") == 3
    with pytest.raises(ValueError, match="not in tuple"):
        window.by("deliveries_planned", "event")

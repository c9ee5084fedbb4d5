"""What is counted before anything is sent."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.backfill.reading import (
    MAX_NAMED_PROBLEMS,
    Damage,
    ExportedEvent,
    Line,
    read,
)
from conversion_relay.service.backfill.survey import (
    Horizon,
    in_words,
    survey,
)
from conversion_relay.service.durations import read_duration

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WEEK = Horizon(NOW, timedelta(days=7))


def event(days_ago: float | None, name: str = "A") -> ExportedEvent:
    happened_at = None if days_ago is None else NOW - timedelta(days=days_ago)
    return ExportedEvent(name, happened_at, b"{}")


def test_events_are_counted_by_name_and_age() -> None:
    counted = survey(
        [
            Line(1, (event(1), event(7), event(7.01))),
            Line(2),
            Line(3, (event(None, "B"), event(31.2, "B"), event(-1, "B"))),
            Line(4, problems=("is no JSON",)),
        ],
        WEEK,
    )
    assert counted.lines == 4
    assert counted.names == {"A": 2, "B": 2}
    assert (counted.too_old, counted.untimed, counted.unreadable) == (2, 1, 1)
    assert counted.oldest == NOW - timedelta(days=31.2)
    assert counted.problems == ((4, "is no JSON"),)
    assert counted.damage is None


def test_of_many_problems_the_first_are_named() -> None:
    lines = [Line(number, problems=("a", "b")) for number in range(1, 101)]
    counted = survey([*lines, Damage(101, "cut")], WEEK)
    assert counted.unreadable == 200
    assert len(counted.problems) == MAX_NAMED_PROBLEMS
    assert counted.problems[-1] == (MAX_NAMED_PROBLEMS // 2, "b")
    assert counted.damage == Damage(101, "cut")


def test_nothing_is_counted_of_nothing() -> None:
    counted = survey([], WEEK)
    assert (counted.lines, counted.names, counted.oldest) == (0, {}, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("1.5h", timedelta(minutes=90)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
        (" 30d ", timedelta(days=30)),
        ("7", None),
        ("d", None),
        ("-7d", None),
        ("7 days", None),
        ("9999999d", None),
        ("", None),
    ],
)
def test_durations(text: str, expected: timedelta | None) -> None:
    assert read_duration(text) == expected


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=31.2), "31.2 days"),
        (timedelta(days=1), "24 hours"),
        (timedelta(minutes=30), "0.5 hours"),
    ],
)
def test_ages_in_words(age: timedelta, words: str) -> None:
    assert in_words(age) == words


_TIMES = st.one_of(
    st.none(), st.text(max_size=30), st.integers(), st.floats(), st.datetimes().map(str)
)


@given(st.lists(_TIMES, max_size=10), st.timedeltas(min_value=timedelta(0)))
def test_every_event_is_either_sent_or_too_old(times: list[object], max_age: timedelta) -> None:
    content = b"\n".join(
        orjson.dumps({"type": "page", "timestamp": time}, option=orjson.OPT_PASSTHROUGH_DATETIME)
        for time in times
        if not isinstance(time, int) or abs(time) < 2**53
    )
    horizon = Horizon(NOW, max_age)
    counted = survey(read(io.BytesIO(content)), horizon)
    kept = [horizon.kept(line) for line in read(io.BytesIO(content)) if isinstance(line, Line)]
    sent = sum(len(line.events) for line in kept)
    assert sum(counted.names.values()) == sent
    assert sent + counted.too_old == counted.lines
    assert counted.unreadable == 0

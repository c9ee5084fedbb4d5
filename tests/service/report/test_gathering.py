"""What is asked of the history, and what a report makes of it."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from conversion_relay.service.report.gathering import gather
from conversion_relay.service.report.report import Asked, Report
from conversion_relay.service.store.history import FlowCount, OutcomeCount
from support.past import BACK, GONE, MORNING, NIGHT, ON_TIME, Past, outage, outcome

ASKED = Asked(
    NIGHT, MORNING, MORNING, ON_TIME, timedelta(minutes=5), ZoneInfo("Europe/Berlin"), "Berlin"
)


def meaning(destination: str, code: int) -> str | None:
    return "OK" if (destination, code) == ("tiktok", 0) else None


def as_it_is(outcome: OutcomeCount) -> str:
    return outcome.event_name


async def made(past: Past | None = None, asked: Asked = ASKED) -> Report:
    return await gather(past or outage(), asked, meaning, as_it_is, NIGHT - timedelta(days=7))


async def test_the_outage_is_found_to_the_second() -> None:
    (found,) = (await made()).outages
    assert found.begin == GONE + timedelta(seconds=12)
    assert found.end == BACK + timedelta(seconds=8)
    assert found.kinds == (("unknown", 502, None), ("unknown", None, None))


async def test_answers_are_added_up_over_the_period() -> None:
    found = [(one.status, one.code, one.meaning, one.requests) for one in (await made()).answers]
    assert found == [(502, None, None, 2160), (None, None, None, 1200), (200, 0, "OK", 364)]
    first, last = (await made()).answers[0].first, (await made()).answers[0].last
    assert (first, last) == (GONE, GONE + timedelta(minutes=539))


async def test_only_alerts_of_the_period() -> None:
    assert [one.rule for one in (await made()).alerts] == ["lane_open"]


async def test_what_led_to_no_delivery() -> None:
    found = [(one.measure, one.labels, one.count) for one in (await made()).door]
    assert found == [
        ("events_kept", ("default", "unmatched"), 214),
        ("requests_refused", ("default", "unauthorized"), 5),
    ]


@pytest.mark.parametrize(("days", "step"), [(1, 1), (14, 1), (15, 5)])
async def test_of_long_periods_the_minutes_are_not_asked_for(days: int, step: int) -> None:
    past = Past()
    since = MORNING - timedelta(days=days)
    asked = Asked(since, MORNING, MORNING, ON_TIME, timedelta(minutes=5))
    await made(past, asked)
    assert past.steps == [timedelta(minutes=5), timedelta(minutes=step)]


async def test_a_name_made_of_events_is_not_told_and_not_a_line_of_its_own() -> None:
    mail, old = "lena@example.com", "OfAnEarlierConfiguration"
    planned = ("default", "tiktok", "anything", old)
    outcomes = [
        outcome(name, 2, timedelta(minutes=3), value=("EUR", 5), mapping="anything")
        for name in (mail, "Brandt", old)
    ]
    flow = [FlowCount(NIGHT, "deliveries_planned", planned, 2)]
    past = Past(kept_outcomes=outcomes, kept_flow=flow)
    report = await gather(past, ASKED, meaning, lambda _: "other", NIGHT)
    found = {one.event_name: (one.count, one.value_micros) for one in report.outcomes}
    assert found == {"other": (4, 10_000_000), old: (2, 5_000_000)}
    assert {one.longest_seconds for one in report.outcomes} == {150.0}

"""Gathers a report from what the store tells of the past. Knows the history by its port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay import __version__
from conversion_relay.service.report.outages import Outage, outages_of, sharpened
from conversion_relay.service.report.report import Answered, Asked, AtTheDoor, Report
from conversion_relay.service.store.history import (
    CANARY_SOURCE,
    AlertRecord,
    AnswerCount,
    FlowCount,
    History,
    OutcomeCount,
)

Meaning: TypeAlias = Callable[[str, int], str | None]
"""What a code of a destination means, in words."""
Told: TypeAlias = Callable[[OutcomeCount], str]
"""The name of an event as it may be told; one made of what events hold becomes OTHER."""
_MINUTE: Final = timedelta(minutes=1)
_EXACT_UP_TO: Final = timedelta(days=14)
"""Of longer periods the minutes are too many: outages are found in their steps."""
_MOST_REQUESTS: Final = 5_000
_MOST_ALERTS: Final = 1_000
_AT_THE_DOOR: Final = frozenset({"requests_refused", "turned_away", "events_duplicate"})
_KEPT: Final = "events_kept"
_PLANNED: Final = "planned"
_COUNTED_BY_NAME: Final = "deliveries_planned"


async def gather(
    history: History, asked: Asked, meaning: Meaning, told: Told, kept_since: datetime
) -> Report:
    """The report on that period.

    Args:
        history: what the store tells.
        asked: the period, and how it is told.
        meaning: of the codes of a destination.
        told: says which names of events may be told, as far as the counts of that time do not.
        kept_since: what ended before may have been removed.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    since, until = asked.since, asked.until
    outcomes = await history.outcomes(since, until, asked.bounds)
    moments = await history.moments(since, until, asked.step)
    fine = _MINUTE if until - since <= _EXACT_UP_TO else asked.step
    answers = await history.answers(since, until, fine)
    outages = [await _exact(history, one, fine) for one in outages_of(answers, fine)]
    alerts = [one for one in await history.alerts(_MOST_ALERTS) if _within(one, since, until)]
    flow = await history.flow(since, until, asked.step)
    return Report(
        asked=asked,
        kept_since=kept_since,
        outcomes=_with_names(outcomes, flow, told),
        moments=sorted(moments, key=lambda one: one.begin),
        answers=_answered(answers, meaning),
        outages=outages,
        alerts=sorted(alerts, key=lambda one: (one.opened_at, one.id)),
        door=_at_the_door(flow),
        version=__version__,
    )


def _with_names(
    outcomes: Iterable[OutcomeCount], flow: Iterable[FlowCount], told: Told
) -> Sequence[OutcomeCount]:
    """The same with names that may be told; those that have all in common then are added up.

    What was counted in that time under its name was named so by the configuration of that time.
    """
    counted = {one.labels[1:] for one in flow if one.measure == _COUNTED_BY_NAME}
    groups: dict[OutcomeCount, list[OutcomeCount]] = {}
    for one in outcomes:
        known = (one.destination, one.mapping, one.event_name) in counted
        name = one.event_name if known else told(one)
        bare = replace(one, count=0, value_micros=0, longest_seconds=0.0, unvalued=0)
        alike = replace(bare, event_name=name)
        groups.setdefault(alike, []).append(one)
    return [
        replace(
            alike,
            count=sum(one.count for one in group),
            value_micros=sum(one.value_micros for one in group),
            longest_seconds=max(one.longest_seconds for one in group),
            unvalued=sum(one.unvalued for one in group),
        )
        for alike, group in groups.items()
    ]


async def _exact(history: History, outage: Outage, step: timedelta) -> Outage:
    """To the second, where its requests are still kept and not too many."""
    begin, end = outage.begin, outage.end
    beginning = begin + 2 * step if end is None else min(begin + 2 * step, end)
    first = await history.requests(begin, beginning, _MOST_REQUESTS)
    last = () if end is None else await history.requests(end, end + step, _MOST_REQUESTS)
    whole = max(len(first), len(last)) < _MOST_REQUESTS
    return sharpened(outage, first, last) if whole else outage


def _within(alert: AlertRecord, since: datetime, until: datetime) -> bool:
    resolved = alert.resolved_at
    return alert.opened_at < until and (resolved is None or resolved >= since)


def _answered(answers: Iterable[AnswerCount], meaning: Meaning) -> Sequence[Answered]:
    groups: dict[tuple[str, str, int | None, int | None], list[AnswerCount]] = {}
    for one in answers:
        groups.setdefault((one.destination, one.result, one.status, one.code), []).append(one)
    found = [
        Answered(
            destination,
            result,
            status,
            code,
            None if code is None else meaning(destination, code),
            requests=sum(one.requests for one in group),
            events=sum(one.events for one in group),
            first=min(one.begin for one in group),
            last=max(one.begin for one in group),
        )
        for (destination, result, status, code), group in groups.items()
    ]
    return sorted(found, key=lambda one: (one.destination, -one.requests, one.first))


def _at_the_door(flow: Iterable[FlowCount]) -> Sequence[AtTheDoor]:
    counts = Counter[tuple[str, tuple[str, ...]]]()
    for one in flow:
        if CANARY_SOURCE not in one.labels and _is_of_the_door(one):
            counts[one.measure, one.labels] += one.count
    return [AtTheDoor(*key, count) for key, count in sorted(counts.items())]


def _is_of_the_door(count: FlowCount) -> bool:
    """What led to a delivery is told by its outcome."""
    if count.measure == _KEPT:
        return _PLANNED not in count.labels
    return count.measure in _AT_THE_DOOR

"""A flow in which everything is well, for rules and tests to change one thing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from conversion_relay.core.lane import Condition
from conversion_relay.service.alerting.alert import Alert, Facts, Finding, Severity
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.course import Course, seen
from conversion_relay.service.monitor.figures import (
    COMMIT_SECONDS,
    COMMITS,
    LaneFigures,
    Snapshot,
    StoreFigures,
)
from conversion_relay.service.monitor.rules import RULES
from conversion_relay.service.monitor.silence import Habits, heard
from conversion_relay.service.monitor.view import Limits, Rule, View
from support.time import START

TICK = timedelta(seconds=5)
HOUR = timedelta(hours=1)
NOW = START + HOUR
Counted = tuple[timedelta, Mapping[Reading, float]]
"""So long ago, so much was counted."""
_OWN = {COMMITS, COMMIT_SECONDS}

KEPT: Reading = ("events_kept", ("shop", "planned"))
UNMATCHED: Reading = ("events_kept", ("shop", "unmatched"))
QUARANTINED: Reading = ("events_kept", ("shop", "quarantined"))
PLANNED: Reading = ("deliveries_planned", ("shop", "tiktok", "Order", "PlaceAnOrder"))
REJECTED: Reading = ("mapping_rejections", ("shop", "tiktok", "Order", "value"))
REJECTED_TOO: Reading = ("mapping_rejections", ("shop", "tiktok", "Order", "currency"))


def settled(state: str, source: str = "shop") -> Reading:
    """Deliveries that came to this state."""
    return ("deliveries_settled", (source, "tiktok", "Order", "PlaceAnOrder", state))


def requests(result: str) -> Reading:
    """Requests to TikTok that ended so."""
    return ("destination_requests", ("tiktok", result))


def refused(problem: str, source: str = "shop") -> Reading:
    """Requests of the source that were not taken."""
    return ("requests_refused", (source, problem))


def rule(name: str) -> Rule:
    """The rule of this name."""
    return next(one for one in RULES if one.name == name)


def lane(**changes: object) -> dict[str, LaneFigures]:
    """The lane of tiktok, which flows, and whose worker works."""
    usual = LaneFigures(Condition.FLOWING, turned_at=NOW - timedelta(seconds=2))
    return {"tiktok": replace(usual, **changes)}  # type: ignore[arg-type]


def snapshot(**changes: object) -> Snapshot:
    """Everything as it should be."""
    usual = Snapshot(
        at=NOW,
        sources=frozenset({"shop"}),
        lanes=lane(),
        store=StoreFigures(sizes={"disk_free": 600, "disk_size": 1_000}),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def course(counted: Sequence[Counted]) -> Course:
    """An hour of readings, in which this was counted."""
    found, counts = Course(), dict[Reading, float]()
    at, left = START, sorted(counted, key=lambda one: one[0], reverse=True)
    while at <= NOW:
        while left and NOW - left[0][0] <= at:
            for reading, count in left.pop(0)[1].items():
                counts[reading] = counts.get(reading, 0.0) + count
        own = {reading: count for reading, count in counts.items() if reading[0] in _OWN}
        found = found.then(at, {**seen(counts), **own})
        at += TICK
    return found


def alert(
    name: str, subject: str, opened_at: datetime = START, facts: Facts | None = None
) -> Alert:
    """An open one."""
    finding = Finding(name, subject, Severity.CRITICAL, "It is.", "Mend it.", facts=facts or {})
    return Alert(finding, opened_at, opened_at)


def view(
    *counted: Counted,
    limits: Limits | None = None,
    habits: Mapping[str, Habits] | None = None,
    opened: Sequence[Alert] = (),
    **changes: object,
) -> View:
    """The view of a flow in which this was counted, and these figures are otherwise."""
    return View(
        snapshot(**changes),
        course(counted),
        limits or Limits(),
        START,
        habits,
        {(one.finding.rule, one.finding.subject): one for one in opened},
    )


def heard_every(tick: timedelta, until: datetime) -> Habits:
    """A source that was heard from the start until then."""
    found, at = heard(None, START), START
    while at < until:
        at += tick
        found = heard(found, at)
    return found

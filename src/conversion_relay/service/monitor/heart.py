"""The monitor without its loop: a snapshot in, what there is to say out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from conversion_relay.service.alerting.alert import Alert
from conversion_relay.service.monitor.course import Counts, Course, added, grown, seen
from conversion_relay.service.monitor.figures import Snapshot, commits_of
from conversion_relay.service.monitor.learning import Lessons, sources_heard
from conversion_relay.service.monitor.life import Standing, Told, resumed, turn
from conversion_relay.service.monitor.rules import RULES, Broken, findings
from conversion_relay.service.monitor.silence import Habits, heard
from conversion_relay.service.monitor.view import Limits, Rule, View


@dataclass(frozen=True, slots=True)
class Orders:
    """What an operator decided: the limits of the rules, and how often an alert is repeated."""

    limits: Limits = field(default_factory=Limits)
    repeat: timedelta = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Heart:
    """What the monitor knows; each snapshot gives the next one.

    Attributes:
        started_at: since when it looks, aware.
        course: how far the counters had counted over the last hours.
        habits: of the sources that were ever heard.
        has_learnt: whether the past is among these; before that, nobody is called silent.
        standing: the alerts.
        read: the counters at the last snapshot.
        lately: what they grew by until then, since the one before.
        seen: how far those had counted that rules ask for.
    """

    started_at: datetime
    course: Course = field(default_factory=Course)
    habits: Mapping[str, Habits] = field(default_factory=dict)
    has_learnt: bool = False
    standing: Standing = field(default_factory=Standing)
    read: Counts = field(default_factory=dict)
    lately: Counts = field(default_factory=dict)
    seen: Counts = field(default_factory=dict)

    def then(
        self, snapshot: Snapshot, orders: Orders, rules: Iterable[Rule] = RULES
    ) -> tuple[Heart, Sequence[Told], Sequence[Broken]]:
        """The next one, what there is to say, and which rules are broken."""
        lately = grown(self.read, snapshot.counters)
        counted = added(self.seen, seen(lately))
        begun = self.course if self.course.fine else self.course.then(self.started_at, {})
        habits = dict(self.habits)
        for name in sources_heard(lately) & snapshot.sources:
            habits[name] = heard(habits.get(name), snapshot.at, self.started_at)
        course = begun.then(snapshot.at, {**counted, **commits_of(snapshot)})
        known = habits if self.has_learnt else None
        view = View(snapshot, course, orders.limits, self.started_at, known, self.standing.open)
        found, broken = findings(view, rules)
        standing, told = turn(self.standing, found, snapshot.at, orders.repeat)
        read = replace(self, read=snapshot.counters, lately=lately, seen=counted)
        return replace(read, course=course, habits=habits, standing=standing), told, broken

    def taught(self, lessons: Lessons) -> Heart:
        """With what the past teaches."""
        habits = dict(lessons.habits())
        for name, present in self.habits.items():
            for at in present.arrivals:
                habits[name] = heard(habits.get(name), at, self.started_at)
        course = self.course.after(lessons.course())
        return replace(self, course=course, habits=habits, has_learnt=True)

    def resumed(self, alerts: Iterable[Alert], now: datetime) -> Heart:
        """With the alerts that were open before the start."""
        before = resumed(alerts, now)
        return replace(self, standing=replace(before, open={**self.standing.open, **before.open}))

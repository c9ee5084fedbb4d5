"""The monitor without its loop: a snapshot in, what there is to say out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from conversion_relay.service.alerting.alert import Alert
from conversion_relay.service.monitor.course import Counts, Course, added, grown, seen
from conversion_relay.service.monitor.figures import Snapshot, commits_of
from conversion_relay.service.monitor.learning import Lessons, sources_heard
from conversion_relay.service.monitor.life import Standing, Told, joined, parted, resumed, turn
from conversion_relay.service.monitor.rules import OWN_NAMES, OWN_RULES, RULES, Broken, findings
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
        others: how far those of the other nodes had.
        heard_since: since when it is known what these hear; None: always.
    """

    started_at: datetime
    course: Course = field(default_factory=Course)
    habits: Mapping[str, Habits] = field(default_factory=dict)
    has_learnt: bool = False
    standing: Standing = field(default_factory=Standing)
    read: Counts = field(default_factory=dict)
    lately: Counts = field(default_factory=dict)
    seen: Counts = field(default_factory=dict)
    others: Counts = field(default_factory=dict)
    heard_since: datetime | None = None

    def then(
        self, snapshot: Snapshot, orders: Orders, rules: Iterable[Rule] = RULES
    ) -> tuple[Heart, Sequence[Told], Sequence[Broken]]:
        """The next one, what there is to say, and which rules are broken."""
        return _judged(self._after(snapshot), snapshot, orders, rules)

    def beside(
        self, snapshot: Snapshot, orders: Orders
    ) -> tuple[Heart, Sequence[Told], Sequence[Broken]]:
        """The same while another node judges for all: this one judges only itself."""
        heart = self._after(snapshot)
        own, others = parted(heart.standing, OWN_NAMES)
        alone = replace(heart, standing=own)
        heart, told, broken = _judged(alone, snapshot, orders, OWN_RULES)
        return replace(heart, standing=joined(heart.standing, others)), told, broken

    def relieved(self) -> Heart:
        """Another node judges for all from now on: what is open is its to resolve."""
        return replace(self, standing=parted(self.standing, OWN_NAMES)[0])

    def _after(self, snapshot: Snapshot) -> Heart:
        """With what was counted until now."""
        lately = grown(self.read, snapshot.counters)
        counted = added(self.seen, seen(lately))
        others = snapshot.company.counted if snapshot.company else {}
        is_deaf = snapshot.company is not None and not snapshot.company.is_known
        heard_since = snapshot.at if is_deaf else self.heard_since
        begun = self.course if self.course.fine else self.course.then(self.started_at, {})
        since = max(self.started_at, heard_since or self.started_at)
        habits = dict(self.habits)
        arrived = sources_heard(lately) | sources_heard(grown(self.others, others))
        for name in arrived & snapshot.sources:
            habits[name] = heard(habits.get(name), snapshot.at, since)
        total = added({**counted, **commits_of(snapshot.store)}, others)
        return replace(
            self,
            course=begun.then(snapshot.at, total),
            habits=habits,
            read=snapshot.counters,
            lately=lately,
            seen=counted,
            others=others,
            heard_since=heard_since,
        )

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


def _judged(
    heart: Heart, snapshot: Snapshot, orders: Orders, rules: Iterable[Rule]
) -> tuple[Heart, Sequence[Told], Sequence[Broken]]:
    """What these rules make of it."""
    view = View(
        snapshot,
        heart.course,
        orders.limits,
        heart.started_at,
        heart.habits if heart.has_learnt else None,
        heart.standing.open,
        heart.heard_since,
    )
    found, broken = findings(view, rules)
    standing, told = turn(heart.standing, found, snapshot.at, orders.repeat)
    return replace(heart, standing=standing), told, broken

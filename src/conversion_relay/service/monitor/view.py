"""What a rule sees, and what it finds. Knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.service.alerting.alert import Alert, Facts, Finding, Severity
from conversion_relay.service.monitor.course import Course, Window
from conversion_relay.service.monitor.figures import Snapshot
from conversion_relay.service.monitor.silence import Habits

Key: TypeAlias = tuple[str, str]
"""Rule and subject: one alert of each is open at a time."""
MINUTE: Final = timedelta(minutes=1)
LATELY: Final = timedelta(minutes=5)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator decided.

    Attributes:
        oldest_backlog: an event may wait so long.
        silence: whether quiet sources are told of.
        disk_used: the share of the disk from which on it is nearly full.
    """

    oldest_backlog: timedelta = timedelta(minutes=10)
    silence: bool = True
    disk_used: float = 0.9


@dataclass(frozen=True, slots=True)
class View:
    """Everything that rules judge by.

    Attributes:
        present: the flow now.
        course: how the counters grew.
        limits: what an operator decided.
        started_at: of the service, aware.
        habits: of the sources that were ever heard; None: not read yet.
        open: the alerts that are.
        heard_since: since when it is known what the other nodes hear; None: always.
        windows: those that were asked for before, since they cost something.
    """

    present: Snapshot
    course: Course
    limits: Limits
    started_at: datetime
    habits: Mapping[str, Habits] | None = None
    open: Mapping[Key, Alert] = field(default_factory=dict)
    heard_since: datetime | None = None
    windows: dict[timedelta, Window] = field(default_factory=dict, compare=False)

    @property
    def now(self) -> datetime:
        """The present, aware."""
        return self.present.at

    def last(self, length: timedelta) -> Window:
        """What was counted in that time until now."""
        if length not in self.windows:
            self.windows[length] = self.course.last(length, self.now)
        return self.windows[length]

    def before(self, length: timedelta) -> Window:
        """What was counted before that, as far as it is known."""
        if -length not in self.windows:
            self.windows[-length] = self.course.before(length, self.now)
        return self.windows[-length]

    def opened(self, rule: str, subject: str) -> Alert | None:
        """The open alert of that rule and subject."""
        return self.open.get((rule, subject))


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with a subject: as a Finding, but for what its rule says of all alike."""

    subject: str
    summary: str
    destination: str | None = None
    since: datetime | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table.

    Attributes:
        name: stable.
        severity: of its alerts.
        find: what it finds; at most one thing of a subject.
        patience: how long that has to last before an alert opens.
        when: it finds something, in words.
        advice: what to do.
        yields_to: while an alert of one of these rules is open for the subject, or for the
            service, this one opens none: it would say the same once more.
    """

    name: str
    severity: Severity
    find: Callable[[View], Iterator[Found]]
    patience: timedelta
    when: str
    advice: str
    yields_to: frozenset[str] = frozenset()

    def finding(self, found: Found) -> Finding:
        """What it found, with what it says of all alike."""
        return Finding(
            self.name,
            found.subject,
            self.severity,
            found.summary,
            self.advice,
            found.destination,
            found.since,
            found.facts,
        )

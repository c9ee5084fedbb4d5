"""An alert and the news of it, as values. Knows no rule and no channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

Facts: TypeAlias = Mapping[str, str | int | float | None]
"""Figures by name, for machines; never a value of an event."""
SERVICE = "service"
"""The subject of what is about no source and no destination."""


class Severity(Enum):
    """How soon somebody has to look."""

    CRITICAL = "critical"  # events wait, are refused or may be lost
    WARNING = "warning"  # nothing is lost yet


class News(Enum):
    """What there is to say of an alert."""

    OPENED = "opened"
    STILL_OPEN = "still_open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule finds wrong at a moment. One rule finds at most one thing of a subject.

    Attributes:
        rule: its name, such as "lane_held".
        subject: the source or destination it is about, or SERVICE.
        summary: what happens, in a sentence with its figures.
        advice: what to do, in a sentence or two.
        destination: whose waiting events are counted with it; None: nobody's.
        since: when it began, where that is known better than by when it was found.
    """

    rule: str
    subject: str
    severity: Severity
    summary: str
    advice: str
    destination: str | None = None
    since: datetime | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding that stays.

    Attributes:
        id: under which it is kept; 0 if it could not be.
        finding: the latest.
        opened_at: aware.
        notified_at: when its channels were last told.
        resolved_at: None while it is open.
    """

    finding: Finding
    opened_at: datetime
    notified_at: datetime
    resolved_at: datetime | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Notification:
    """What the channels are told.

    Attributes:
        waiting: deliveries that have not arrived yet, of the finding's destination.
        value_micros: what these are worth, by currency, in millionths of its unit.
        at: when this was said.
    """

    news: News
    alert: Alert
    at: datetime
    waiting: int | None = None
    value_micros: Mapping[str, int] = field(default_factory=dict)

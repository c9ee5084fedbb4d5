"""A notification in words: what happened, since when, what waits, what to do.

Whole texts of one line each, for every channel to arrange and to escape as it needs. Nothing of an
event is among them but figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from conversion_relay.service.alerting.alert import SERVICE, News, Notification
from conversion_relay.service.quantities import amounts, counted, duration, moment

LONGEST_TEXT: Final = 1_000
_NEWS: Final = {
    News.OPENED: "Alert",
    News.STILL_OPEN: "Still open",
    News.RESOLVED: "Resolved",
}
Line: TypeAlias = tuple[str, str]
"""What a line is about, and what it says."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is said.

    Attributes:
        title: which alert it is, and what there is to say of it.
        summary: what happens.
        lines: the rest, in order.
    """

    title: str
    summary: str
    lines: tuple[Line, ...]

    def plain(self) -> str:
        """All of it as plain text of several lines."""
        rest = (f"{about}: {what}" for about, what in self.lines)
        return "\n".join((self.title, self.summary, *rest))


def words_of(notification: Notification) -> Words:
    """What there is to say, in words."""
    finding = notification.alert.finding
    about = "the service" if finding.subject == SERVICE else finding.subject
    rule = finding.rule.replace("_", " ")
    news = _NEWS[notification.news]
    if notification.news is not News.RESOLVED:
        news = f"{news} ({finding.severity.value})"
    lines = tuple((name, one_line(text)) for name, text in _lines(notification))
    return Words(one_line(f"{news}: {rule}, {about}"), one_line(finding.summary), lines)


def one_line(text: str) -> str:
    """The text in one line of bounded length, without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def _lines(notification: Notification) -> Iterator[Line]:
    alert = notification.alert
    since = alert.finding.since or alert.opened_at
    if notification.news is News.RESOLVED:
        until = alert.resolved_at or notification.at
        yield "Lasted", f"{duration(until - since)}, from {moment(since)} to {moment(until)}"
    else:
        yield "Since", f"{moment(since)} ({duration(notification.at - since)})"
    yield from _waiting(notification)
    if notification.news is not News.RESOLVED:
        yield "What to do", alert.finding.advice


def _waiting(notification: Notification) -> Iterator[Line]:
    waiting = notification.waiting
    if waiting is None or (not waiting and notification.news is News.RESOLVED):
        return
    worth = amounts(notification.value_micros)
    count = counted(waiting, "event") if waiting else "no event"
    yield "Waiting", f"{count}, worth {worth}" if waiting and worth else count

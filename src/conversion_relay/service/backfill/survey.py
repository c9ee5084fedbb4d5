"""What files hold, counted before anything is sent, and how long ago it happened.

Reads no clock; knows nothing of the service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from conversion_relay.service.backfill.reading import (
    MAX_NAMED_PROBLEMS,
    Damage,
    ExportedEvent,
    Line,
)


@dataclass(frozen=True, slots=True)
class Horizon:
    """From when on events are sent: how old they may be at this moment."""

    now: datetime
    max_age: timedelta

    def takes(self, event: ExportedEvent) -> bool:
        """Whether it is not too old; one that carries no time is as old as its sending."""
        return event.happened_at is None or self.now - event.happened_at <= self.max_age

    def kept(self, line: Line) -> Line:
        """The line without the events that are too old."""
        return replace(line, events=tuple(one for one in line.events if self.takes(one)))


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds.

    Attributes:
        lines: those that can be reached.
        names: of the events that are young enough, with how often each is there.
        too_old: events that are older than allowed.
        oldest: when the oldest of these happened.
        untimed: events without any time, among those that are young enough.
        unreadable: lines, or events of a line, that cannot be read.
        problems: the first of these: the line's number and how a sentence with it goes on.
        damage: why the file ends early.
    """

    lines: int
    names: Mapping[str, int]
    too_old: int
    oldest: datetime | None
    untimed: int
    unreadable: int
    problems: tuple[tuple[int, str], ...]
    damage: Damage | None


def survey(lines: Iterable[Line | Damage], horizon: Horizon) -> Survey:
    """Counts everything in one pass."""
    counts: Counter[str] = Counter()
    names: Counter[str] = Counter()
    oldest: datetime | None = None
    problems: list[tuple[int, str]] = []
    damage = None
    for line in lines:
        if isinstance(line, Damage):
            damage = line
            break
        young = [one for one in line.events if horizon.takes(one)]
        old = [one.happened_at for one in line.events if not horizon.takes(one)]
        names.update(one.name for one in young)
        oldest = min((one for one in (oldest, *old) if one is not None), default=None)
        counts["lines"] += 1
        counts["too_old"] += len(old)
        counts["untimed"] += sum(one.happened_at is None for one in young)
        counts["unreadable"] += line.unreadable
        problems.extend(_numbered(line, MAX_NAMED_PROBLEMS - len(problems)))
    return Survey(
        counts["lines"], names, counts["too_old"], oldest, counts["untimed"],
        counts["unreadable"], tuple(problems), damage,
    )  # fmt: skip


def _numbered(line: Line, room: int) -> Iterator[tuple[int, str]]:
    return ((line.number, problem) for problem in line.problems[: max(room, 0)])


def in_words(age: timedelta) -> str:
    """A time as people say it: in days from two days on, else in hours; rounded."""
    if age >= timedelta(days=2):
        return f"{round(age / timedelta(days=1), 1):g} days"
    return f"{round(age / timedelta(hours=1), 1):g} hours"

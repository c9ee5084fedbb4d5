"""What the past teaches: the habits of sources, and the course of the last hours. Pure.

Fed with counts of whole minutes, some hours at a time, oldest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.course import COARSE, Counts, Course, Mark, seen
from conversion_relay.service.monitor.silence import KNOWN_FOR, Habits, learnt
from conversion_relay.service.store.history import FlowCount

WATCHED: Final = "minutes_watched"
"""The measure of a minute in which the monitor looked, without labels."""
SLICE: Final = timedelta(hours=6)
_MINUTE: Final = timedelta(minutes=1)
_ARRIVALS: Final = frozenset({"events_kept", "events_duplicate", "requests_refused"})
"""Their first label is the source; whatever came of it, it was heard."""


@dataclass(slots=True)
class Lessons:
    """What was learnt so far.

    Attributes:
        now: of the start, aware.
    """

    now: datetime
    _heard: dict[str, list[tuple[datetime, int]]] = field(default_factory=dict)
    _watched: list[datetime] = field(default_factory=list)
    _minutes: dict[datetime, Counter[Reading]] = field(default_factory=dict)

    def slices(self) -> Iterable[tuple[datetime, datetime]]:
        """The times to ask for, in order."""
        begin = self.now - KNOWN_FOR
        while begin < self.now:
            yield begin, min(begin + SLICE, self.now)
            begin += SLICE

    def learn(self, counts: Sequence[FlowCount]) -> None:
        """Take note of what was counted in some hours."""
        by_minute: dict[datetime, Counter[str]] = {}
        for one in counts:
            if one.measure == WATCHED:
                self._watched.append(one.minute)
                continue
            if one.measure in _ARRIVALS:
                by_minute.setdefault(one.minute, Counter())[one.labels[0]] += one.count
            if one.minute > self.now - COARSE:
                grown = self._minutes.setdefault(one.minute, Counter())
                for reading in seen({(one.measure, one.labels): one.count}):
                    grown[reading] += one.count
        for minute in sorted(by_minute):
            for source, count in by_minute[minute].items():
                self._heard.setdefault(source, []).append((minute, count))

    def habits(self) -> Mapping[str, Habits]:
        """By source, of those that were ever heard."""
        watched = sorted(self._watched)
        found = {name: learnt(minutes, watched) for name, minutes in self._heard.items()}
        return {name: habits for name, habits in found.items() if habits is not None}

    def course(self) -> Course:
        """Of the last hours, as far as the service ran."""
        total: Counter[Reading] = Counter()
        marks: list[Mark] = []
        for minute, grown in sorted(self._minutes.items()):
            marks = marks or [Mark(minute, {})]
            total += grown
            marks.append(Mark(min(minute + _MINUTE, self.now), dict(total)))
        return Course(coarse=tuple(marks))


def sources_heard(grown: Counts) -> frozenset[str]:
    """The sources that sent anything."""
    return frozenset(labels[0] for measure, labels in grown if measure in _ARRIVALS)

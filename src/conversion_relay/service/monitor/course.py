"""The course of the counters over the last hours: readings kept, and what grew between them.

Pure. Every reading of some minutes is kept, and one a minute of some hours; so only what rules ask
for is (`seen`): there can be a hundred thousand series. Names are those of the metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.service.metrics import Reading
from conversion_relay.service.metrics.catalogue import COUNTERS

Counts: TypeAlias = Mapping[Reading, float]
_Labels: TypeAlias = tuple[str, ...]
FINE: Final = timedelta(minutes=6)
"""So long every reading is kept."""
COARSE: Final = timedelta(hours=3)
"""So long one a minute is kept."""
_PREFIX: Final = "relay_"
_UNSEEN: Final = frozenset({"mapping_warnings", "mapping_suppressions", "destination_codes"})
"""Counters no rule asks for."""
_UNSEEN_LABELS: Final[Mapping[str, frozenset[str]]] = {
    "deliveries_planned": frozenset({"source", "event"}),
    "deliveries_settled": frozenset({"mapping", "event"}),
}
_SEEN_LABELS: Final[Mapping[str, _Labels]] = {
    measure: tuple(label for label in shape.labels if label not in _UNSEEN_LABELS.get(measure, ()))
    for measure, shape in ((name.removeprefix(_PREFIX), one) for name, one in COUNTERS.items())
    if measure not in _UNSEEN
}
_SEEN_PLACES: Final[Mapping[str, tuple[int, ...]]] = {
    measure: tuple(COUNTERS[_PREFIX + measure].labels.index(label) for label in labels)
    for measure, labels in _SEEN_LABELS.items()
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the counters had counted at a moment, aware."""

    at: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted over some time.

    Attributes:
        begin: aware; later than was asked for, soon after the start.
        end: aware.
        grown: by measure, and by the values of its labels; what stood still is left out.
    """

    begin: datetime
    end: datetime
    grown: Mapping[str, Mapping[_Labels, float]]

    @property
    def length(self) -> timedelta:
        """How much time it covers."""
        return self.end - self.begin

    def total(self, measure: str, **labels: str) -> float:
        """What a counter grew by, over all its children with these labels."""
        return sum(count for _, count in self._found(measure, labels))

    def by(self, measure: str, *names: str, **labels: str) -> Counter[_Labels]:
        """The same, by the values of the named labels."""
        places = [_place(measure, name) for name in names]
        found: Counter[_Labels] = Counter()
        for values, count in self._found(measure, labels):
            found[tuple(values[place] for place in places)] += int(count)
        return found

    def _found(self, measure: str, labels: Mapping[str, str]) -> Iterable[tuple[_Labels, float]]:
        found: Iterable[tuple[_Labels, float]] = self.grown.get(measure, {}).items()
        for name, value in labels.items():
            place = _place(measure, name)
            found = [one for one in found if one[0][place] == value]
        return found


@dataclass(frozen=True, slots=True)
class Course:
    """How far the counters had counted over the last hours; each reading gives the next one.

    Attributes:
        fine: the readings of the last minutes, oldest first.
        coarse: one of each minute of the last hours, oldest first.
        base: what had been counted before the counters began.
    """

    fine: tuple[Mark, ...] = ()
    coarse: tuple[Mark, ...] = ()
    base: Counts = field(default_factory=dict)

    def then(self, at: datetime, counts: Counts) -> Course:
        """With another reading; what is too old is gone, as is what lies in the future.

        That is there once the clock was set back.
        """
        mark = Mark(at, added(self.base, counts))
        coarse = _within(self.coarse, mark.at - COARSE, mark.at)
        is_new = not coarse or minute_of(coarse[-1].at) != minute_of(mark.at)
        return Course(
            (*_within(self.fine, mark.at - FINE, mark.at), mark),
            (*coarse, mark) if is_new else coarse,
            self.base,
        )

    def after(self, past: Course) -> Course:
        """With what was counted before its first reading; the counters go on from there."""
        base = past.coarse[-1].counts if past.coarse else {}
        coarse = (*past.coarse, *_raised(self.coarse, base))
        return Course(_raised(self.fine, base), coarse, base)

    def last(self, length: timedelta, now: datetime) -> Window:
        """What was counted in that time until the last reading."""
        marks = self.fine if length < FINE else (*self.coarse, *self.fine[-1:])
        if not marks:
            return Window(now, now, {})
        earlier = [mark for mark in marks if mark.at <= now - length]
        return _between(earlier[-1] if earlier else marks[0], marks[-1])

    def before(self, ago: timedelta, now: datetime) -> Window:
        """All that is known from before that."""
        marks = [mark for mark in self.coarse if mark.at <= now - ago]
        return _between(marks[0], marks[-1]) if marks else Window(now - ago, now - ago, {})


def grown(before: Counts, after: Counts) -> Counts:
    """By how much the counters grew between two readings; what stood still is left out."""
    return {
        reading: count - before.get(reading, 0.0)
        for reading, count in after.items()
        if count > before.get(reading, 0.0)
    }


def seen(counts: Counts) -> Counts:
    """What rules ask for of these: added up over the labels they do not ask for."""
    found: dict[Reading, float] = {}
    for (measure, values), count in counts.items():
        places = _SEEN_PLACES.get(measure)
        if places is not None:
            reading = measure, tuple(values[place] for place in places)
            found[reading] = found.get(reading, 0.0) + count
    return found


def is_asked_for(reading: Reading) -> bool:
    """Whether rules ask for it as it is: of this name, with these labels."""
    measure, values = reading
    return len(_SEEN_LABELS.get(measure, ())) == len(values) and measure in _SEEN_LABELS


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute."""
    return moment.replace(second=0, microsecond=0)


def _between(begin: Mark, end: Mark) -> Window:
    found: dict[str, dict[_Labels, float]] = {}
    for (measure, labels), count in grown(begin.counts, end.counts).items():
        found.setdefault(measure, {})[labels] = count
    return Window(begin.at, end.at, found)


def _within(marks: Iterable[Mark], begin: datetime, end: datetime) -> tuple[Mark, ...]:
    """Those of that time, and the one before: a window begins at it."""
    known = [mark for mark in marks if mark.at < end]
    older = [mark for mark in known if mark.at <= begin]
    return (*older[-1:], *(mark for mark in known if mark.at > begin))


def _raised(marks: Iterable[Mark], base: Counts) -> tuple[Mark, ...]:
    return tuple(Mark(mark.at, added(base, mark.counts)) for mark in marks)


def added(one: Counts, other: Counts) -> Counts:
    """Both together."""
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in one.keys() | other.keys()}


def _place(measure: str, name: str) -> int:
    return _SEEN_LABELS[measure].index(name)

"""What a configuration makes of the events of a file, counted, and where to look: line numbers.

Pure; never a value of an event.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from conversion_relay.core.plan import Note
from conversion_relay.service.reload.comparison import Flow, flow_of
from conversion_relay.service.reload.differences import plain_note
from conversion_relay.service.store.port import Disposition, NewEvent

FIRST_LINES: Final = 5


@dataclass(slots=True)
class Found:
    """Events of which the same is to be said.

    Attributes:
        events: how many.
        lines: those of the first of them.
    """

    events: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """One more."""
        self.events += 1
        if len(self.lines) < FIRST_LINES and line not in self.lines:
            self.lines.append(line)


def _found() -> defaultdict[Note, Found]:
    return defaultdict(Found)


@dataclass(slots=True)
class Outlook:
    """What would become of the events.

    Attributes:
        events: all of them.
        unmatched: those that no trigger matches.
        flows: deliveries by their way.
        rejections: by what is wrong; what would be put into quarantine names no destination.
        suppressions: by why the event itself forbids it.
        warnings: by what would be left out or replaced.
    """

    events: int = 0
    unmatched: int = 0
    flows: Counter[Flow] = field(default_factory=Counter)
    rejections: defaultdict[Note, Found] = field(default_factory=_found)
    suppressions: defaultdict[Note, Found] = field(default_factory=_found)
    warnings: defaultdict[Note, Found] = field(default_factory=_found)

    @property
    def rejected(self) -> int:
        """How often a mapping, or the door, gives nothing because of what the event holds."""
        return sum(one.events for one in self.rejections.values())

    def add(self, line: int, planned: NewEvent) -> None:
        """Counts what an event of that line leads to."""
        self.events += 1
        self.unmatched += planned.disposition is Disposition.UNMATCHED
        self.flows.update(flow_of(planned.source, one) for one in planned.deliveries)
        _note(self.rejections, planned.rejections, line)
        _note(self.suppressions, planned.suppressions, line)
        _note(self.warnings, planned.warnings, line)
        if planned.disposition is Disposition.QUARANTINED:
            _note(self.rejections, (Note("", "", "", planned.reason or ""),), line)


def _note(found: Mapping[Note, Found], notes: Iterable[Note], line: int) -> None:
    for note in {plain_note(one) for one in notes}:
        found[note].add(line)

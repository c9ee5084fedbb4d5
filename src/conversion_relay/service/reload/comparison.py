"""What two configurations make of the same events, counted: no values, no bodies, no ids.

Pure; knows no store. Match keys that are remembered are not filled in, on either side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.reload.differences import differing_fields, plain_note
from conversion_relay.service.replay import Replan
from conversion_relay.service.store.port import Disposition, NewEvent

ANOTHER_NAME: Final = "(another name)"
"""Of an event, made of what it holds."""
_MOST_FIELDS: Final = 100
_Through: TypeAlias = tuple[str, str]
"""A destination and one of its mappings."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two configurations.

    Attributes:
        plan: what it makes of an element of a source.
        sources: those it knows; events of others lead to nothing.
        destinations: those it knows.
        names: of events that may be told, by destination and mapping.
    """

    plan: Replan
    sources: frozenset[str]
    destinations: frozenset[str]
    names: Mapping[_Through, Sequence[str]] = field(default_factory=dict)

    def planned(self, source: str, element: Decoded | Unusable, received_at: datetime) -> NewEvent:
        """What it makes of the element, with nothing remembered, under names that may be told."""
        found = self.plan(source, element, received_at, None)
        told = (replace(one, event_name=self._told(one)) for one in found.deliveries)
        return replace(found, deliveries=tuple(told))

    def _told(self, delivery: PlannedDelivery) -> str:
        known = self.names.get((delivery.destination, delivery.mapping), ())
        return delivery.event_name if delivery.event_name in known else ANOTHER_NAME


@dataclass(frozen=True, slots=True, order=True)
class Flow:
    """A way that events take; `event_name` is the partner's."""

    source: str
    destination: str
    mapping: str
    event_name: str


@dataclass(slots=True)
class Difference:
    """Deliveries of one mapping whose request would be another one.

    Attributes:
        deliveries: how many.
        fields: in which paths; * is any element.
    """

    deliveries: int = 0
    fields: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Comparison:
    """Counts events and deliveries; "now" is the running configuration, "then" the new one.

    Attributes:
        events: compared, those without a source included.
        now: deliveries by their way.
        then: the same.
        refused: notes with which events that are sent now would be rejected, or put into
            quarantine (those name no destination).
        newly_refused: the same of events that are not sent now either.
        suppressed: notes with which what is sent now would be held back by the event's own word.
        warnings: notes that would be new.
        unmatched: events that a mapping sends now, and of which its destination would get nothing
            because no trigger matches any more.
        renamed: from one name of the partner's to another, by destination.
        differences: by destination and mapping.
        sourceless: events by their source, which the new configuration does not have.
    """

    events: int = 0
    now: Counter[Flow] = field(default_factory=Counter)
    then: Counter[Flow] = field(default_factory=Counter)
    refused: Counter[Note] = field(default_factory=Counter)
    newly_refused: Counter[Note] = field(default_factory=Counter)
    suppressed: Counter[Note] = field(default_factory=Counter)
    warnings: Counter[Note] = field(default_factory=Counter)
    unmatched: Counter[_Through] = field(default_factory=Counter)
    renamed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    differences: defaultdict[_Through, Difference] = field(
        default_factory=lambda: defaultdict(Difference)
    )
    sourceless: Counter[str] = field(default_factory=Counter)

    def add(self, now: NewEvent, then: NewEvent, candidate: Side) -> None:
        """Counts what both make of one event."""
        self.events += 1
        sent, to_send = _by_mapping(now.deliveries), _by_mapping(then.deliveries)
        self.now.update(flow_of(now.source, one) for one in now.deliveries)
        self.then.update(flow_of(now.source, one) for one in then.deliveries)
        if now.source not in candidate.sources:
            self.sourceless[now.source] += 1
            return
        self._add_refusals(now, then)
        held = _new(now.suppressions, then.suppressions)
        self.suppressed.update(one for one in held if (one.destination, one.mapping) in sent)
        self.warnings.update(_new(now.warnings, then.warnings))
        speaking = {one.destination for one in _all_of(then)}
        if then.disposition is not Disposition.QUARANTINED:
            for destination, mapping in sent:
                if destination in candidate.destinations and destination not in speaking:
                    self.unmatched[destination, mapping] += 1
        for through in sent.keys() & to_send.keys():
            self._compare(through, sent[through], to_send[through])

    def _add_refusals(self, now: NewEvent, then: NewEvent) -> None:
        served = {one.destination for one in now.deliveries}
        still = {one.destination for one in then.deliveries}
        mappings = _by_mapping(now.deliveries).keys()
        for note in _new(now.rejections, then.rejections):
            through = (note.destination, note.mapping)
            lost = through in mappings or note.destination in served - still
            (self.refused if lost else self.newly_refused)[note] += 1
        quarantined = Disposition.QUARANTINED
        if then.disposition is quarantined and now.disposition is not quarantined:
            note = Note("", "", "", then.reason or "")
            (self.refused if now.deliveries else self.newly_refused)[note] += 1

    def _compare(self, through: _Through, now: PlannedDelivery, then: PlannedDelivery) -> None:
        old, new = now.event_name, then.event_name
        if old != new:
            self.renamed[now.destination, old, new] += 1
        fields = differing_fields(now, then)
        if fields:
            difference = self.differences[through]
            difference.deliveries += 1
            if len(difference.fields) < _MOST_FIELDS:
                difference.fields |= fields


def flow_of(source: str, delivery: PlannedDelivery) -> Flow:
    """The way it takes."""
    return Flow(source, delivery.destination, delivery.mapping, delivery.event_name)


def by_destination(flows: Mapping[Flow, int]) -> Counter[str]:
    """The deliveries to each destination."""
    found: Counter[str] = Counter()
    for flow, count in flows.items():
        found[flow.destination] += count
    return found


def by_name(flows: Mapping[Flow, int]) -> Counter[tuple[str, str]]:
    """The deliveries by destination and the partner's name of the event."""
    found: Counter[tuple[str, str]] = Counter()
    for flow, count in flows.items():
        found[flow.destination, flow.event_name] += count
    return found


def _by_mapping(deliveries: Iterable[PlannedDelivery]) -> dict[_Through, PlannedDelivery]:
    return {(one.destination, one.mapping): one for one in deliveries}


def _new(before: Iterable[Note], after: Iterable[Note]) -> set[Note]:
    return {plain_note(one) for one in after} - {plain_note(one) for one in before}


def _all_of(event: NewEvent) -> Iterable[PlannedDelivery | Note]:
    """Whatever an event leads to in any destination."""
    return (*event.deliveries, *event.rejections, *event.suppressions)

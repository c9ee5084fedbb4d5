"""What a replay would do with one kept event: compares what is kept with what is wanted.

Pure: the store and the planner have spoken already. The rule behind it: nothing that arrived,
may still arrive or was not asked for is sent, whatever today's mappings make of the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from conversion_relay.core.delivery import Cause, State, states_before
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.store.port import (
    Disposition,
    KeptDelivery,
    KeptEvent,
    NewEvent,
    Requeue,
    Selection,
    kept_event_id,
)

_REPLAYABLE: Final = states_before(Cause.REPLAYED)
Conversion: TypeAlias = tuple[str, str, str | None]  # destination, event name, event_id


class Fate(Enum):
    """What becomes of one delivery of a replay, or of an event that leads to none."""

    SENT = "sent"  # it goes, or would go
    DELIVERED = "already_delivered"  # the partner has it
    UNDER_WAY = "on_its_way"  # it goes anyhow
    NOT_SELECTED = "not_selected"  # it is kept in a state that was not asked for
    UNRECOGNISABLE = "may_have_arrived"  # and under its new name a copy would count again
    REJECTED = "rejected"  # a trigger matches, but no conversion can be made
    UNMATCHED = "not_matched"  # today's mappings make nothing of it
    NO_EVENT = "no_event"  # what was received is no event, today either
    GONE = "original_gone"  # what was received is no longer kept
    CHANGED = "changed_meanwhile"  # something happened to it while it was looked at


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries are meant.

    Attributes:
        selection: of events; its states, destination and mapping hold for each delivery.
        event_name: Segment's name of the event, or the partner's of the delivery; None: any.
    """

    selection: Selection
    event_name: str | None = None

    def includes(self, delivery: KeptDelivery, segment_name: str | None) -> bool:
        """Whether this kept delivery is meant."""
        record = delivery.record
        fits = self.fits(record.destination, record.mapping)
        named = self.event_name in {None, segment_name, record.event_name}
        return record.state in self.selection.states and fits and named

    def fits(self, destination: str, mapping: str) -> bool:
        """Whether what this mapping makes for this destination is meant."""
        return self.selection.destination in {None, destination} and self.selection.mapping in {
            None,
            mapping,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """One fate, with what it takes to bring it about, or why it cannot be.

    Attributes:
        requeue: what to ask of the store; SENT only.
        notes: why nothing was made; REJECTED and NO_EVENT only.
    """

    fate: Fate
    requeue: Requeue | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A kept event and what of it is meant.

    Attributes:
        event: as it is kept.
        segment_name: see `Wanted`; None when the original is gone or no event.
        wanted: what the replay is for.
    """

    event: KeptEvent
    segment_name: str | None
    wanted: Wanted

    @property
    def meant(self) -> tuple[KeptDelivery, ...]:
        """The kept deliveries that are meant."""
        return tuple(
            one for one in self.event.deliveries if self.wanted.includes(one, self.segment_name)
        )

    @property
    def is_meant_itself(self) -> bool:
        """The event is meant, whatever was made of it."""
        named = self.wanted.event_name in {None, self.segment_name}
        return named and self.event.disposition in self.wanted.selection.dispositions


def judge_as_sent(case: Case) -> Iterator[Judgement]:
    """What becomes of the meant deliveries if their stored bodies go again."""
    for delivery in case.meant:
        others = [one for one in case.event.deliveries if one != delivery]
        arrived = any(
            one.record.state is State.DELIVERED and _conversion(one) == _conversion(delivery)
            for one in others
        )
        if arrived:
            yield Judgement(Fate.DELIVERED)
        elif delivery.record.state in _REPLAYABLE:
            yield Judgement(Fate.SENT, Requeue(case.event.id, delivery.record))
        else:
            yield Judgement(_final_fate([delivery], [delivery]) or Fate.NOT_SELECTED)


def judge_gone(case: Case) -> Iterator[Judgement]:
    """The same where the original is wanted, and gone."""
    for _ in case.meant or _nothing(case):
        yield Judgement(Fate.GONE)


def judge(case: Case, planned: NewEvent) -> Iterator[Judgement]:
    """What becomes of the event with today's mappings; `planned` is what they make of it."""
    if planned.disposition is Disposition.QUARANTINED:
        note = Note("", "", "", planned.reason or "")
        yield from (Judgement(Fate.NO_EVENT, notes=(note,)) for _ in case.meant or _nothing(case))
        return
    answered: list[KeptDelivery] = []
    found: list[Judgement] = []
    taken: set[Conversion] = set()
    for delivery in planned.deliveries:
        alike = _alike(delivery, case.event.deliveries)
        if _is_meant(delivery, alike, case):
            found.append(_judge_planned(delivery, alike, case, taken))
            answered += alike
            taken.add(_planned_conversion(delivery))
    found += _rejections(case, planned, answered)
    unanswered = [one for one in case.meant if one not in answered]
    found += [Judgement(Fate.UNMATCHED)] * len(unanswered)
    yield from (_known_as(one, case.event, planned) for one in found or _nothing(case))


def _is_meant(delivery: PlannedDelivery, alike: Sequence[KeptDelivery], case: Case) -> bool:
    """A replacement is meant if what it replaces is, whatever it is called by now."""
    wanted = case.wanted
    named = wanted.event_name in {None, case.segment_name, delivery.event_name}
    fits = wanted.fits(delivery.destination, delivery.mapping) and named
    return fits or any(one in case.meant for one in alike)


def _judge_planned(
    delivery: PlannedDelivery,
    alike: Sequence[KeptDelivery],
    case: Case,
    taken: set[Conversion],
) -> Judgement:
    meant = [one for one in alike if one in case.meant]
    final = _final_fate(alike, meant)
    if final is not None:
        return Judgement(final)
    if _planned_conversion(delivery) in taken:
        return Judgement(Fate.UNDER_WAY)
    replaced = next((one for one in meant if one.record.mapping == delivery.mapping), None)
    replaced = replaced or next(iter(meant), None)
    if replaced is None:
        return Judgement(Fate.SENT, Requeue(case.event.id, None, delivery))
    if _could_count_again(replaced, delivery):
        return Judgement(Fate.UNRECOGNISABLE)
    return Judgement(Fate.SENT, Requeue(case.event.id, replaced.record, delivery))


def _final_fate(alike: Sequence[KeptDelivery], meant: Sequence[KeptDelivery]) -> Fate | None:
    """Why nothing like these may be sent, or None."""
    states = {one.record.state for one in alike}
    others = {one.record.state for one in alike if one not in meant}
    if State.DELIVERED in states:
        return Fate.DELIVERED
    if State.CLAIMED in states or State.PENDING in others:
        return Fate.UNDER_WAY
    return Fate.NOT_SELECTED if others else None


def _alike(delivery: PlannedDelivery, kept: Sequence[KeptDelivery]) -> tuple[KeptDelivery, ...]:
    """What is kept of the same mapping, or is the same conversion for the partner."""
    return tuple(
        one
        for one in kept
        if one.record.destination == delivery.destination
        and (
            one.record.mapping == delivery.mapping
            or _conversion(one) == _planned_conversion(delivery)
        )
    )


def _could_count_again(replaced: KeptDelivery, delivery: PlannedDelivery) -> bool:
    """It may have arrived, and the partner would not take this for a copy of it.

    Of what is UNCERTAIN a person decides that it did not arrive.
    """
    if replaced.first_unknown_at is None or replaced.record.state is State.UNCERTAIN:
        return False
    same = _conversion(replaced) == _planned_conversion(delivery)
    return not same or replaced.envelope != delivery.envelope


def _rejections(
    case: Case, planned: NewEvent, answered: list[KeptDelivery]
) -> Iterator[Judgement]:
    """One for each mapping that rejects the event; what it would replace is answered by it."""
    for label in dict.fromkeys((note.destination, note.mapping) for note in planned.rejections):
        kept = [
            one
            for one in case.event.deliveries
            if (one.record.destination, one.record.mapping) == label
        ]
        named = case.wanted.event_name in {None, case.segment_name}
        asked_for = not kept and named and case.wanted.fits(*label)
        if asked_for or any(one in case.meant for one in kept):
            answered += kept
            notes = [one for one in planned.rejections if (one.destination, one.mapping) == label]
            yield Judgement(Fate.REJECTED, notes=tuple(notes))


def _nothing(case: Case) -> list[Judgement]:
    """Of an event that is meant itself, and leads to nothing."""
    return [Judgement(Fate.UNMATCHED)] if case.is_meant_itself else []


def _known_as(judgement: Judgement, event: KeptEvent, planned: NewEvent) -> Judgement:
    """What was in quarantine gets the id by which its copies are recognised."""
    if judgement.requeue is None or planned.message_id == event.message_id:
        return judgement
    return replace(judgement, requeue=replace(judgement.requeue, message_id=planned.message_id))


def _conversion(delivery: KeptDelivery) -> Conversion:
    return delivery.record.destination, delivery.record.event_name, delivery.event_id


def _planned_conversion(delivery: PlannedDelivery) -> Conversion:
    return delivery.destination, delivery.event_name, kept_event_id(delivery.event_id)

"""What a replay would do with one kept event: compares what is kept with what is wanted.

Pure: the store and the planner have spoken already. The rule behind it: nothing that arrived,
may still arrive or was not asked for is sent, whatever today's mappings make of the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from conversion_relay.core.delivery import Cause, State, states_before
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.cases import Case, Fate, Judgement, Label
from conversion_relay.service.likeness import (
    WAITING,
    Conversion,
    Successor,
    conversion_of,
    could_count_again,
    most_telling,
    planned_conversion,
    successors,
)
from conversion_relay.service.store.port import (
    Disposition,
    KeptDelivery,
    KeptEvent,
    NewEvent,
    Requeue,
)

_SENT_AGAIN: Final = states_before(Cause.REPLAYED) - {State.PENDING}


def judge_as_sent(case: Case) -> Iterator[Judgement]:
    """What becomes of the meant deliveries if their stored bodies go again."""
    for delivery in case.meant:
        arrived = any(
            one.record.state is State.DELIVERED
            and conversion_of(one).is_copy_of(conversion_of(delivery))
            for one in case.event.deliveries
        )
        if arrived:
            yield Judgement(Fate.DELIVERED)
        elif delivery.record.state in _SENT_AGAIN:
            yield Judgement(Fate.SENT, Requeue(case.event.id, delivery.record))
        else:
            yield Judgement(Fate.UNDER_WAY)


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
    taken: list[Conversion] = []
    for successor in successors(planned, case.event.deliveries, case.meant):
        if _is_meant(successor, case):
            found.append(_in_its_own_place(_judge_planned(successor, case, taken), found))
            answered += _answered(successor)
            taken.append(planned_conversion(successor.planned))
    found += _rejections(case, planned, answered)
    found += _suppressions(case, planned, answered)
    unanswered = [one for one in case.meant if one not in answered]
    found += [Judgement(Fate.UNMATCHED)] * len(unanswered)
    yield from (_known_as(one, case.event, planned) for one in found or _nothing(case))


def _is_meant(successor: Successor, case: Case) -> bool:
    """A replacement is meant if what it replaces is, whatever it is called by now.

    What takes no place is meant only of an event that is meant itself: beside a dead delivery of
    one mapping, what another makes today may have been sent under another name.
    """
    delivery, wanted = successor.planned, case.wanted
    if successor.predecessor is not None or any(one in case.meant for one in successor.alike):
        return True
    named = wanted.event_name in {None, case.segment_name, delivery.event_name}
    asked_for = case.may_be_new((delivery.destination, delivery.mapping))
    known = bool(successor.alike) or asked_for
    return known and named and wanted.fits(delivery.destination, delivery.mapping)


def _answered(successor: Successor) -> tuple[KeptDelivery, ...]:
    predecessor = successor.predecessor
    return successor.alike if predecessor is None else (predecessor,)


def _judge_planned(successor: Successor, case: Case, taken: Sequence[Conversion]) -> Judgement:
    delivery = successor.planned
    near = successor.alike or successor.strays
    meant = [one for one in near if one in case.meant]
    replaced = successor.predecessor or most_telling(meant, delivery.mapping)
    final = _why_no_heir(successor, case) if successor.predecessor else _final_fate(near, meant)
    final = final or _why_not_beside(successor, replaced, meant)
    if final is not None:
        return Judgement(final)
    if any(planned_conversion(delivery).is_copy_of(one) for one in taken):
        return Judgement(Fate.UNDER_WAY)
    if any(_could_count_again(one, delivery, case) for one in near):
        return Judgement(Fate.UNRECOGNISABLE)
    record = None if replaced is None else replaced.record
    return Judgement(Fate.SENT, Requeue(case.event.id, record, delivery))


def _in_its_own_place(judgement: Judgement, before: Sequence[Judgement]) -> Judgement:
    """One kept delivery is replaced once, though two planned ones may be like it."""
    requeue = judgement.requeue
    if requeue is None or requeue.replaced is None:
        return judgement
    places = [one.requeue.replaced for one in before if one.requeue is not None]
    return Judgement(Fate.CHANGED) if requeue.replaced in places else judgement


def _final_fate(alike: Sequence[KeptDelivery], meant: Sequence[KeptDelivery]) -> Fate | None:
    """Why nothing like these may be sent, or None."""
    states = {one.record.state for one in alike}
    others = {one.record.state for one in alike if one not in meant}
    if State.DELIVERED in states:
        return Fate.DELIVERED
    if State.CLAIMED in states or State.PENDING in others:
        return Fate.UNDER_WAY
    return Fate.NOT_SELECTED if others else None


def _why_no_heir(successor: Successor, case: Case) -> Fate | None:
    """Why it may not take its predecessor's place: it may be another stray under a new name."""
    strangers = {one.record.state for one in successor.strays if one not in case.meant}
    states = {one.record.state for one in successor.strays}
    if State.DELIVERED in states:
        return Fate.DELIVERED
    return Fate.UNDER_WAY if State.CLAIMED in states or strangers & WAITING else None


def _why_not_beside(
    successor: Successor, replaced: KeptDelivery | None, meant: Sequence[KeptDelivery]
) -> Fate | None:
    """Under way, when more of these wait than are replaced: the rest goes by itself."""
    waiting = [one for one in meant if one.record.state in WAITING]
    if successor.predecessor is not None:
        return Fate.UNDER_WAY if len(waiting) > successor.rivals else None
    return Fate.UNDER_WAY if any(one != replaced for one in waiting) else None


def _could_count_again(kept: KeptDelivery, delivery: PlannedDelivery, case: Case) -> bool:
    """Of what is UNCERTAIN and meant a person decides that it did not arrive."""
    if kept.record.state is State.UNCERTAIN and kept in case.meant:
        return False
    return could_count_again(kept, delivery)


def _rejections(
    case: Case, planned: NewEvent, answered: list[KeptDelivery]
) -> Iterator[Judgement]:
    """One for each mapping that rejects the event; what it would replace is answered by it."""
    for label, notes in _by_label(planned.rejections):
        kept = _made_by(label, case)
        named = case.wanted.event_name in {None, case.segment_name}
        asked_for = not kept and named and case.wanted.fits(*label)
        if asked_for or any(one in case.meant for one in kept):
            answered += kept
            yield Judgement(Fate.REJECTED, notes=notes)


def _suppressions(
    case: Case, planned: NewEvent, answered: list[KeptDelivery]
) -> Iterator[Judgement]:
    """One for each mapping that a filter holds back today from what is meant."""
    for label, notes in _by_label(planned.suppressions):
        kept = _made_by(label, case)
        asked_for = label in case.held_back if kept else case.may_be_new(label)
        meant = asked_for and case.is_meant_itself and case.wanted.fits(*label)
        if meant or any(one in case.meant for one in kept):
            answered += kept
            yield Judgement(Fate.SUPPRESSED, notes=notes)


def _by_label(notes: Sequence[Note]) -> Iterator[tuple[Label, tuple[Note, ...]]]:
    for label in dict.fromkeys((note.destination, note.mapping) for note in notes):
        yield label, tuple(one for one in notes if (one.destination, one.mapping) == label)


def _made_by(label: Label, case: Case) -> list[KeptDelivery]:
    return [
        one
        for one in case.event.deliveries
        if (one.record.destination, one.record.mapping) == label
    ]


def _nothing(case: Case) -> list[Judgement]:
    """Of an event that is meant itself, and leads to nothing."""
    return [Judgement(Fate.UNMATCHED)] if case.is_meant_itself else []


def _known_as(judgement: Judgement, event: KeptEvent, planned: NewEvent) -> Judgement:
    """What was in quarantine gets the id by which its copies are recognised."""
    if judgement.requeue is None or planned.message_id == event.message_id:
        return judgement
    return replace(judgement, requeue=replace(judgement.requeue, message_id=planned.message_id))

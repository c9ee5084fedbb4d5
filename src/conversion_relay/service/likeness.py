"""Which kept deliveries stand for the same conversion as one that today's mappings make.

Pure. A conversion is what the partner would count once, whatever destination and mapping are
called by now; where nothing tells, it is better not sent than counted twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.delivery import State
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.store.port import KeptDelivery, NewEvent, kept_event_id

WAITING: Final = frozenset({State.HELD, State.PENDING})
"""What goes by itself, now or when its lane does."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a partner counts, and where it is sent."""

    destination: str
    envelope: str
    event_name: str
    event_id: str | None

    def is_copy_of(self, other: Conversion) -> bool:
        """Whether both mean one conversion: what they go to may have been renamed or set anew."""
        same = (self.event_name, self.event_id) == (other.event_name, other.event_id)
        return same and (self.destination == other.destination or self.envelope == other.envelope)

    def is_recognised_as(self, other: Conversion) -> bool:
        """Whether the partner takes one for a copy of the other."""
        return self.is_copy_of(other) and self.envelope == other.envelope


@dataclass(frozen=True, slots=True)
class Successor:
    """A planned delivery, and what is kept that may be the same conversion.

    Attributes:
        planned: what today's mappings make.
        alike: of the same mapping, or the same conversion for the partner.
        strays: where nothing is alike, what is kept for its destination that today's mappings do
            not account for: any of it may be what this one was called before.
        predecessor: which of the meant strays it takes the place of.
        rivals: how many conversions without a like want the place of a stray, this one included.
    """

    planned: PlannedDelivery
    alike: tuple[KeptDelivery, ...]
    strays: tuple[KeptDelivery, ...] = ()
    predecessor: KeptDelivery | None = None
    rivals: int = 0


def conversion_of(delivery: KeptDelivery) -> Conversion:
    """What the partner would count of a kept delivery."""
    record = delivery.record
    return Conversion(record.destination, delivery.envelope, record.event_name, delivery.event_id)


def planned_conversion(planned: PlannedDelivery) -> Conversion:
    """What the partner would count of a planned delivery."""
    return Conversion(
        planned.destination,
        planned.envelope,
        planned.event_name,
        kept_event_id(planned.event_id),
    )


def successors(
    today: NewEvent, kept: Sequence[KeptDelivery], meant: Collection[KeptDelivery]
) -> list[Successor]:
    """Each planned delivery with what it may be a copy of, in the order of the plan."""
    matched = [Successor(one, _alike(one, kept)) for one in today.deliveries]
    accounted = [old for one in matched for old in one.alike]
    rejecting = {(note.destination, note.mapping) for note in today.rejections}
    strays = [
        one
        for one in kept
        if one not in accounted and (one.record.destination, one.record.mapping) not in rejecting
    ]
    return [_with_strays(one, matched, strays, meant) for one in matched]


def most_telling(kept: Sequence[KeptDelivery], mapping: str) -> KeptDelivery | None:
    """Which of several that are alike is replaced: its history then holds for what goes.

    One that may have arrived, so that this is not forgotten; then one that would go by itself.
    """
    return min(
        kept,
        key=lambda one: (
            one.first_unknown_at is None,
            one.record.state not in WAITING,
            one.record.mapping != mapping,
        ),
        default=None,
    )


def could_count_again(kept: KeptDelivery, planned: PlannedDelivery) -> bool:
    """It may have arrived, and the partner would not take this for a copy of it."""
    recognised = conversion_of(kept).is_recognised_as(planned_conversion(planned))
    return kept.first_unknown_at is not None and not recognised


def _alike(planned: PlannedDelivery, kept: Sequence[KeptDelivery]) -> tuple[KeptDelivery, ...]:
    label, conversion = (planned.destination, planned.mapping), planned_conversion(planned)
    return tuple(
        one
        for one in kept
        if (one.record.destination, one.record.mapping) == label
        or conversion_of(one).is_copy_of(conversion)
    )


def _with_strays(
    successor: Successor,
    others: Sequence[Successor],
    strays: Sequence[KeptDelivery],
    meant: Collection[KeptDelivery],
) -> Successor:
    if successor.alike:
        return successor
    destination = successor.planned.destination
    near = tuple(one for one in strays if one.record.destination == destination)
    heirs = [
        one
        for place, one in enumerate(others)
        if not one.alike
        and one.planned.destination == destination
        and not _repeats(one, others[:place])
    ]
    waiting_first = sorted(
        (one for one in near if one in meant), key=lambda one: one.record.state not in WAITING
    )
    # By identity: two mappings may plan the very same.
    heir_of = {id(one): old for one, old in zip(heirs, waiting_first, strict=False)}
    return Successor(successor.planned, (), near, heir_of.get(id(successor)), len(heirs))


def _repeats(successor: Successor, before: Sequence[Successor]) -> bool:
    """Whether another mapping makes the same conversion."""
    conversion = planned_conversion(successor.planned)
    return any(conversion.is_copy_of(planned_conversion(one.planned)) for one in before)

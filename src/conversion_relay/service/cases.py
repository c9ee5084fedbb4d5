"""A kept event in the hands of an operator: what of it is meant, and what can become of it.

Knows values alone; what becomes of an event is decided in `judging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from conversion_relay.core.plan import Note
from conversion_relay.service.store.port import (
    Disposition,
    KeptDelivery,
    KeptEvent,
    Requeue,
    Selection,
)

Label: TypeAlias = tuple[str, str]
"""A destination and one of its mappings, by their names."""


class Fate(Enum):
    """What becomes of one delivery of a replay, or of an event that leads to none."""

    SENT = "sent"  # it goes, or would go
    DELIVERED = "already_delivered"  # the partner has it
    UNDER_WAY = "on_its_way"  # it goes anyhow
    NOT_SELECTED = "not_selected"  # it is kept in a state that was not asked for
    UNRECOGNISABLE = "may_have_arrived"  # and under its new name a copy would count again
    REJECTED = "rejected"  # a trigger matches, but no conversion can be made
    SUPPRESSED = "suppressed"  # a trigger matches, but the event itself forbids it
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
        notes: why nothing was made; REJECTED, SUPPRESSED and NO_EVENT only.
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
        return named and (self._became_what_is_wanted or bool(self.held_back))

    def may_be_new(self, label: Label) -> bool:
        """A delivery that this mapping never made of the event is asked for.

        Of an event that led to others only what a filter held back then.
        """
        return self._became_what_is_wanted or label in self.held_back

    @property
    def _became_what_is_wanted(self) -> bool:
        return self.event.disposition in self.wanted.selection.dispositions

    @property
    def held_back(self) -> frozenset[Label]:
        """The mappings that a filter kept from the event, if such events are meant."""
        if Disposition.SUPPRESSED not in self.wanted.selection.dispositions:
            return frozenset()
        return frozenset((one.destination, one.mapping) for one in self.event.suppressions)

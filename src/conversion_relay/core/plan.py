"""From one event to what would be sent: the heart.

Pure: the same function serves the webhook and `preview`. Knows no partner, no store, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from conversion_relay.core import fql
from conversion_relay.core.destination import Built, Destination, FieldProblem, Worth
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.filters import NOT_REQUIRED, ConsentRule, Names, refusal, with_options
from conversion_relay.core.match_keys import (
    NOTHING_FILLED,
    Filled,
    Lesson,
    Memory,
    Recollection,
)
from conversion_relay.core.preset import Preset


class OnInvalidField(Enum):
    """What happens to an event whose optional field is not usable."""

    OMIT = "omit"  # the field is left out, with a warning: the conversion is not lost
    REJECT = "reject"  # the event is rejected, as Segment does


@dataclass(frozen=True, slots=True)
class Target:
    """A configured destination.

    Attributes:
        name: as configured; what deliveries and reports call it.
        destination: the partner's protocol, with this target's settings.
        presets: in the order in which they are tried; every one that matches makes a delivery.
        on_invalid_field: see OnInvalidField.
        consent: what an event's user must have agreed to.
        names: what the destination is called in an event's `integrations`.
    """

    name: str
    destination: Destination
    presets: tuple[Preset, ...]
    on_invalid_field: OnInvalidField = OnInvalidField.OMIT
    consent: ConsentRule = NOT_REQUIRED
    names: Names = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = Names.of(self.name, self.destination.title, self.destination.aliases)
        object.__setattr__(self, "names", names)


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One event for one destination through one mapping, ready to be kept and sent.

    Attributes:
        keys: which match keys the body carries.
        filled: those among them that were remembered, by kind.
        worth: what the conversion is worth, if that is known.
    """

    destination: str
    mapping: str
    envelope: str
    event_name: str
    event_id: str | None
    body: bytes = field(repr=False)
    keys: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    worth: Worth | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something about one field of one mapping's event: which, and why; never the value."""

    destination: str
    mapping: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one event leads to. With neither of the first three notes no trigger matched.

    Attributes:
        warnings: what was left out because it is not usable, or was replaced.
        rejections: why a mapping gave nothing.
        suppressions: for each mapping whose trigger matched, why the event itself forbids it.
        shared: what the settings keep from the partner; for people who look, not to be kept.
        filled: what was remembered and filled in; for people who look, not to be kept.
        lessons: what the event taught, of which the caller decides whether it is remembered.
    """

    deliveries: tuple[PlannedDelivery, ...] = ()
    warnings: tuple[Note, ...] = ()
    rejections: tuple[Note, ...] = ()
    suppressions: tuple[Note, ...] = ()
    shared: tuple[Note, ...] = ()
    filled: tuple[Note, ...] = ()
    lessons: tuple[Lesson, ...] = ()

    @property
    def unmatched(self) -> bool:
        """No trigger matched."""
        return not (self.deliveries or self.rejections or self.suppressions)


def plan(
    event: SegmentEvent, targets: Sequence[Target], now: datetime, memory: Memory | None = None
) -> Plan:
    """Everything the event leads to in all the targets; neither event nor memory is changed.

    Args:
        event: what was received.
        targets: where it may go.
        now: aware.
        memory: of match keys; None: nothing is filled in and nothing taught.
    """
    plans = [one for target in targets for one in _for_target(event, target, now, memory)]
    return _together(plans)


def _together(plans: Sequence[Plan]) -> Plan:
    if len(plans) == 1:
        return plans[0]
    return Plan(
        tuple(one for plan in plans for one in plan.deliveries),
        tuple(one for plan in plans for one in plan.warnings),
        tuple(one for plan in plans for one in plan.rejections),
        tuple(one for plan in plans for one in plan.suppressions),
        tuple(one for plan in plans for one in plan.shared),
        tuple(one for plan in plans for one in plan.filled),
        tuple(one for plan in plans for one in plan.lessons),
    )


def _for_target(
    event: SegmentEvent, target: Target, now: datetime, memory: Memory | None
) -> Iterator[Plan]:
    """A plan for each mapping whose trigger matches; what is forbidden is not mapped at all."""
    presets = [one for one in target.presets if fql.matches(one.trigger, event.payload)]
    if not presets and memory is None:
        return
    refused = refusal(event.payload, target.names, target.consent)
    if refused is not None:
        for preset in presets:
            yield Plan(suppressions=_notes(target, preset, (refused,)))
        return
    payload = with_options(event.payload, target.names)
    if payload is not event.payload:
        event = replace(event, payload=payload)
    about = None
    if memory is not None:
        about = Recollection(event, target.name, target.destination, memory)
    for preset in presets:
        yield _through(preset, target, event, now, about)
    lesson = None if about is None else about.lesson()
    if lesson is not None:
        yield Plan(lessons=(lesson,))


def _through(
    preset: Preset,
    target: Target,
    event: SegmentEvent,
    now: datetime,
    about: Recollection | None,
) -> Plan:
    """What the event leads to through one mapping."""
    applied = _apply(preset, target.on_invalid_field, event, now, about)
    warnings = _notes(target, preset, applied.warnings)
    rejections = _notes(target, preset, applied.rejections)
    built = applied.built
    if built is None:
        return Plan((), warnings, rejections)
    return Plan(
        (_delivery(target.name, preset.name, built, applied.filled),),
        warnings,
        rejections,
        shared=_notes(target, preset, built.shared),
        filled=_notes(target, preset, applied.filled.notes()),
    )


def _notes(target: Target, preset: Preset, problems: Sequence[FieldProblem]) -> tuple[Note, ...]:
    if not problems:
        return ()
    return tuple(Note(target.name, preset.name, one.field, one.reason) for one in problems)


@dataclass(frozen=True, slots=True)
class _Applied:
    """What one mapping makes of an event; nothing is built where something is rejected."""

    built: Built | None
    warnings: tuple[FieldProblem, ...]
    rejections: tuple[FieldProblem, ...] = ()
    filled: Filled = NOTHING_FILLED


def _apply(
    preset: Preset,
    on_invalid_field: OnInvalidField,
    event: SegmentEvent,
    now: datetime,
    about: Recollection | None,
) -> _Applied:
    """What one mapping makes of the event, with what is remembered where that lacks."""
    resolution = preset.mapping.evaluate(event.payload)
    unresolved = tuple(
        FieldProblem(_dotted(problem.pointer), problem.sentence) for problem in resolution.problems
    )
    checked = preset.checker.check(resolution.payload)
    warnings = unresolved + checked.warnings
    rejections = checked.rejections
    if on_invalid_field is OnInvalidField.REJECT:
        warnings, rejections = (), warnings + rejections
    if rejections:
        return _Applied(None, warnings, rejections)
    payload, filled = checked.payload, NOTHING_FILLED
    if about is not None:
        filled = about.missing(payload, preset.action.fields)
        payload = {**payload, **filled.added}
    built = preset.action.build(payload, event, now)
    if isinstance(built, FieldProblem):
        return _Applied(None, warnings, (built,))
    return _Applied(built, warnings + built.warnings, (), filled)


def _dotted(pointer: str) -> str:
    return pointer.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


def _delivery(destination: str, mapping: str, built: Built, filled: Filled) -> PlannedDelivery:
    return PlannedDelivery(
        destination,
        mapping,
        built.envelope,
        built.event_name,
        built.event_id,
        built.body,
        built.keys,
        built.keys & filled.kinds,
        built.worth,
    )

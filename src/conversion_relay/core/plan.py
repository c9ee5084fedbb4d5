"""From one event to what would be sent: the heart.

Pure: the same function serves the webhook and `preview`. Knows no partner, no store, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from conversion_relay.core import fql
from conversion_relay.core.destination import Built, Destination, FieldProblem
from conversion_relay.core.event import SegmentEvent
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
    """

    name: str
    destination: Destination
    presets: tuple[Preset, ...]
    on_invalid_field: OnInvalidField = OnInvalidField.OMIT


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """One event for one destination through one mapping, ready to be kept and sent."""

    destination: str
    mapping: str
    envelope: str
    event_name: str
    event_id: str | None
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """A warning or a rejection: which field of which mapping, and why; never the value."""

    destination: str
    mapping: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one event leads to. With neither deliveries nor rejections no trigger matched."""

    deliveries: tuple[PlannedDelivery, ...] = ()
    warnings: tuple[Note, ...] = ()
    rejections: tuple[Note, ...] = ()

    @property
    def unmatched(self) -> bool:
        """No trigger matched."""
        return not self.deliveries and not self.rejections


def plan(event: SegmentEvent, targets: Sequence[Target], now: datetime) -> Plan:
    """Everything the event leads to in all the targets; the event is not changed."""
    deliveries: list[PlannedDelivery] = []
    warnings: list[Note] = []
    rejections: list[Note] = []
    for target in targets:
        for preset in target.presets:
            if not fql.matches(preset.trigger, event.payload):
                continue
            built, warned, rejected = _apply(preset, target.on_invalid_field, event, now)
            label = (target.name, preset.name)
            warnings.extend(Note(*label, problem.field, problem.reason) for problem in warned)
            rejections.extend(Note(*label, problem.field, problem.reason) for problem in rejected)
            if built is not None:
                deliveries.append(_delivery(target.name, preset.name, built))
    return Plan(tuple(deliveries), tuple(warnings), tuple(rejections))


def _apply(
    preset: Preset, on_invalid_field: OnInvalidField, event: SegmentEvent, now: datetime
) -> tuple[Built | None, tuple[FieldProblem, ...], tuple[FieldProblem, ...]]:
    """What one mapping makes of the event, with warnings and rejections."""
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
        return None, warnings, rejections
    built = preset.action.build(checked.payload, event, now)
    if isinstance(built, FieldProblem):
        return None, warnings, (built,)
    return built, warnings + built.warnings, ()


def _dotted(pointer: str) -> str:
    return pointer.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


def _delivery(destination: str, mapping: str, built: Built) -> PlannedDelivery:
    return PlannedDelivery(
        destination, mapping, built.envelope, built.event_name, built.event_id, built.body
    )

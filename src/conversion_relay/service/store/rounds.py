"""What the sweeps of both engines go by: how long what is kept, and what was looked at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from conversion_relay.service.store.values import Disposition, Retention

Place: TypeAlias = tuple[int, int]
"""When an event was received, in microseconds, and its id."""
BEGINNING: Final[Place] = (-1, -1)
LONGEST_WAIT: Final = timedelta(minutes=5)
"""Longer than any lease (90 seconds) and any pause between two attempts (30): a Retry-After is for
the lane, not for what waits in it."""
_LONGEST: Final = timedelta(hours=1)
"""How often what had to be kept longer is looked at again."""


@dataclass(frozen=True, slots=True)
class Round:
    """How far looking through the old events has come.

    What has to be kept longer, such as a dead letter, is passed over once in a round only.

    Attributes:
        begun_at: of the round.
        passed: of each disposition the last event that was looked at.
    """

    begun_at: datetime
    passed: Mapping[Disposition, Place] = field(default_factory=lambda: MappingProxyType({}))

    def after(self, disposition: Disposition, place: Place) -> Round:
        """The round, once this event was looked at."""
        return Round(self.begun_at, MappingProxyType({**self.passed, disposition: place}))


def round_at(now: datetime, before: Round | None) -> Round:
    """The one before, unless it began long ago, or later than now."""
    if before is None or not timedelta() <= now - before.begun_at < _LONGEST:
        return Round(now)
    return before


def kept_for(disposition: Disposition, retention: Retention) -> timedelta:
    """How long such an event is kept if no delivery of it keeps it longer."""
    return retention.unmatched if disposition is Disposition.UNMATCHED else retention.events

"""Whom a refusal of the credentials is really about: the lane, an envelope, or one event.

A partner that refuses somebody while it accepts others does not refuse the credentials: a setting
that only some events carry may be wrong, or something in front of the partner takes offence at
what one event holds. Knows no partner and no store.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

_TIMES: Final = 3
_MOST_REMEMBERED: Final = 10_000


class Culprit(Enum):
    """What has to be mended, or given up."""

    LANE = "lane"
    ENVELOPE = "envelope"
    EVENT = "event"


class Blame:
    """Remembers who was refused, and that others were accepted in between."""

    def __init__(self) -> None:
        self._acceptances = 0
        self._refusals: dict[str | int, tuple[int, int]] = {}

    @property
    def remembered(self) -> int:
        """How many refusals are kept in mind; bounded."""
        return len(self._refusals)

    def accepted(self, envelope: str) -> bool:
        """A request with this envelope was accepted; gives whether that had been to blame."""
        self._acceptances += 1
        count, _ = self._refusals.pop(envelope, (0, 0))
        return count >= _TIMES

    def refused(self, envelope: str, alone: int | None) -> Culprit:
        """Who is to blame for a refusal.

        Args:
            envelope: of the request.
            alone: the id of its only delivery, if that may be to blame; None otherwise.
        """
        if self._times(envelope) >= _TIMES:
            return Culprit.ENVELOPE
        if alone is not None and self._times(alone) >= _TIMES:
            return Culprit.EVENT
        return Culprit.LANE

    def _times(self, whom: str | int) -> int:
        """How often, counting those without an acceptance in between as one."""
        count, seen_at = self._refusals.pop(whom, (0, -1))
        if seen_at != self._acceptances:
            count += 1
        self._refusals[whom] = (count, self._acceptances)
        if len(self._refusals) > _MOST_REMEMBERED:
            del self._refusals[next(iter(self._refusals))]
        return count

"""When a share that is never zero has become too large: large, and larger than chance makes it.

Pure. Knows nothing of what is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

LEAST_BAD: Final = 6
"""One of two, or three of four, say nothing yet."""
_LEAST_RISE: Final = 0.1
_SIGMAS: Final = 5.0
_CHANCE: Final = 2.0
_PRIOR_BAD, _PRIOR_ALL = 1.0, 20.0


@dataclass(frozen=True, slots=True)
class Share:
    """So many of all are bad."""

    bad: float
    all: float

    @property
    def part(self) -> float:
        """Between 0 and 1."""
        return self.bad / self.all if self.all else 0.0


NOTHING: Final = Share(0, 0)


def usual(before: Share) -> float:
    """The share to expect; of little that is known a bad one in twenty."""
    return (before.bad + _PRIOR_BAD) / (before.all + _PRIOR_ALL)


def has_risen(recent: Share, expected: float) -> bool:
    """Whether the recent share is larger than expected, by size and beyond chance.

    Five standard deviations: at a comparison every five seconds, chance alone reaches that less
    than once in years.
    """
    if recent.bad < LEAST_BAD or recent.part < expected + _LEAST_RISE:
        return False
    mean = recent.all * expected
    return recent.bad > mean + _SIGMAS * sqrt(mean * (1 - expected)) + _CHANCE


def is_still_high(recent: Share, expected: float) -> bool:
    """Whether a share that had risen is no reason for relief yet."""
    return recent.part > expected + _LEAST_RISE / 2

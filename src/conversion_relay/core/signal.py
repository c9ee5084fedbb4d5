"""What the end of a request tells of the lane it went through. Knows no lane's condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, assert_never

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Outcome,
    Refused,
    Suspect,
    Throttled,
    Unknown,
)


class Signal(Enum):
    """What one request told of the lane, whatever it told of its events."""

    ALIVE = "alive"  # the partner read the request and judged its events
    FAILED = "failed"  # no answer, or one of a partner that cannot work
    THROTTLED = "throttled"
    REFUSED = "refused"  # for the credentials or the settings


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended.

    Attributes:
        outcomes: of its deliveries.
        sent_at: when it began.
        at: when it ended.
        jitter: uniform in [0, 1).
    """

    outcomes: Sequence[Outcome]
    sent_at: datetime
    at: datetime
    jitter: float

    @property
    def signal(self) -> Signal:
        """What it tells of its lane."""
        signals = {_signal(outcome) for outcome in self.outcomes}
        return next(signal for signal in _STRONGEST_FIRST if signal in signals)

    @property
    def reason(self) -> str | None:
        """The partner's or the wire's words."""
        return next((one.reason for one in self.outcomes if not isinstance(one, Accepted)), None)


def _signal(outcome: Outcome) -> Signal:
    match outcome:
        case Accepted() | Refused() | Companion() | Suspect():
            return Signal.ALIVE
        case Deferred() | Unknown():
            return Signal.FAILED
        case Throttled():
            return Signal.THROTTLED
        case CredentialProblem():
            return Signal.REFUSED
        case _:
            assert_never(outcome)


_STRONGEST_FIRST: Final = (Signal.REFUSED, Signal.THROTTLED, Signal.ALIVE, Signal.FAILED)

"""Whether the database takes events, as far as this node knows. Pure; waits for nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Line:
    """Open, or closed with a reason; then one is let through now and then to see.

    Attributes:
        reason: why it is closed; None: it is open.
    """

    reason: str | None = None
    _trial: bool = False

    def lets_through(self) -> bool:
        """Whether the next events may go straight to the database."""
        passes = self.reason is None or self._trial
        self._trial = False
        return passes

    def fail(self, reason: str) -> bool:
        """Close it; whether it was open until now."""
        was_open = self.reason is None
        self.reason, self._trial = reason, False
        return was_open

    def open(self) -> bool:
        """The database took events; whether the line was closed until now."""
        was_closed = self.reason is not None
        self.reason, self._trial = None, False
        return was_closed

    def offer_trial(self) -> None:
        """Let one through, although it is closed: there is nothing else to try it with."""
        self._trial = self.reason is not None

"""Something that is to happen after a time, unless it is called off.

Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Alarm:
    """At most one act to come."""

    _timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether there was something to come, and nobody called it off."""
        return self._timer is not None

    def set(self, seconds: float, act: Callable[[], None]) -> None:
        """Does this after so many seconds, and nothing that was to come before."""
        self.unset()
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def unset(self) -> None:
        """Calls it off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

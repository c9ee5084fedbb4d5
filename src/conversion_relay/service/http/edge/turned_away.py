"""Counts what was turned away before it was a request of any source, and says so in the log.

A flood must not become a flood of lines: of each problem there is one in ten seconds, with how
many there were. Knows neither sockets nor limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics

_SECONDS_BETWEEN_LINES: Final = 10.0


class TurnedAway:
    """Takes note of connections and requests that were turned away.

    Args:
        metrics: counters.
        log: of the process.
        monotonic: gives seconds that never go back.
    """

    def __init__(self, metrics: Metrics, log: Log, monotonic: Callable[[], float]) -> None:
        self._metrics = metrics
        self._log = log
        self._monotonic = monotonic
        self._unsaid: Counter[str] = Counter()
        self._said_at: dict[str, float] = {}

    def note(self, problem: str) -> None:
        """One more, for the problem of this slug."""
        self._metrics.turned_away.labels(problem).inc()
        self._unsaid[problem] += 1
        now, said_at = self._monotonic(), self._said_at.get(problem)
        if said_at is None or now - said_at >= _SECONDS_BETWEEN_LINES:
            self._said_at[problem] = now
            self._log.warning("door.turned_away", problem=problem, count=self._unsaid.pop(problem))

"""How many events a source may send: so many a second, ten seconds' worth at once, debts included.

A batch is taken or not as a whole: it passes while anything is left, and what it takes beyond that
is paid off before the next one passes. Knows no clock, no HTTP and no event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

BURST_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a source may still send at a moment.

    Attributes:
        per_second: how many events are added a second.
        left: how many may be sent; below zero they are owed.
        at: the moment, in seconds of a clock that never goes back.
        burst_seconds: so many seconds' worth may be sent at once.
    """

    per_second: float
    left: float
    at: float
    burst_seconds: float = BURST_SECONDS

    @staticmethod
    def full(per_second: float, now: float, burst_seconds: float = BURST_SECONDS) -> Allowance:
        """That of a source from which nothing came yet."""
        return Allowance(per_second, per_second * burst_seconds, now, burst_seconds)

    def spend(self, events: int, now: float) -> Allowance:
        """What is left when so many events are taken; a negative number gives them back."""
        most = self.per_second * self.burst_seconds
        grown = min(most, self.left + self.per_second * max(0.0, now - self.at))
        left, at = min(most, grown - events), max(now, self.at)
        return Allowance(self.per_second, left, at, self.burst_seconds)

    def wait_seconds(self, now: float) -> int:
        """After how many whole seconds something passes; 0 at once."""
        left = self.spend(0, now).left
        return 0 if left > 0 else int(-left // self.per_second) + 1


class Allowances:
    """The present allowance of every source that has a limit.

    Args:
        limits: events a second by the name of the source; None: any number.
        monotonic: gives seconds that never go back.
    """

    def __init__(
        self, limits: Iterable[tuple[str, int | None]], monotonic: Callable[[], float]
    ) -> None:
        self._monotonic = monotonic
        self._left: dict[str, Allowance] = {}
        self.limit(limits)

    def limit(self, limits: Iterable[tuple[str, int | None]]) -> None:
        """These limits from now on; a source whose limit is as it was keeps its debts."""
        before, now = self._left, self._monotonic()
        self._left = {}
        for source, limit in limits:
            if limit is not None:
                kept = before.get(source)
                same = kept is not None and kept.per_second == limit
                self._left[source] = kept if kept and same else Allowance.full(limit, now)

    def wait_seconds(self, source: str) -> int:
        """After how many seconds the source may send again; 0: now."""
        allowance = self._left.get(source)
        return 0 if allowance is None else allowance.wait_seconds(self._monotonic())

    def spend(self, source: str, events: int) -> None:
        """Takes so many events off; a negative number gives them back."""
        allowance = self._left.get(source)
        if allowance is not None:
            self._left[source] = allowance.spend(events, self._monotonic())

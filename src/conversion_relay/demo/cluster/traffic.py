"""What goes through the cluster: a shop's events, posted again until they are taken, and judged.

Judges by the sandbox's ledger alone: what was acknowledged has to be there exactly once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conversion_relay.demo.shop import Shop
from conversion_relay.errors import RelayError
from conversion_relay.sandbox import Sandbox

_MOST_AT_ONCE: Final = 500
_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Balance:
    """How the events stand.

    Attributes:
        sold: events that were made.
        acknowledged: those that were answered 200.
        arrived: those that the sandbox counted.
        missing: acknowledged, and not counted yet.
        twice: counted more than once.
        again: requests that had to be repeated.
    """

    sold: int
    acknowledged: int
    arrived: int
    missing: frozenset[str]
    twice: int
    again: int

    def __str__(self) -> str:
        return (
            f"sold {self.sold:>6,}   acknowledged {self.acknowledged:>6,}   "
            f"arrived {self.arrived:>6,}   on their way {len(self.missing):>4,}   "
            f"twice {self.twice}   posted again {self.again}"
        )


@dataclass(slots=True)
class Traffic:
    """A shop that sells without a break, and Segment that posts again what was not taken.

    Attributes:
        shop: makes and posts events.
        sandbox: that counts them in the end.
        clock: gives the present.
        events_per_second: on average.
        pauses_seconds: between two tries of an event; the last of them for all that follow.
    """

    shop: Shop
    sandbox: Sandbox
    clock: Callable[[], datetime]
    events_per_second: float
    pauses_seconds: Sequence[float] = (0.5, 1.0, 2.0, 5.0)
    _sold: int = 0
    _again: int = 0
    _posting: set[asyncio.Task[None]] = field(default_factory=set)

    async def sell(self, most: int | None = None) -> None:
        """Sells so many events, or without end; comes back when all were taken."""
        try:
            while most is None or self._sold < most:
                await asyncio.sleep(self.shop.randomness.expovariate(self.events_per_second))
                if len(self._posting) < _MOST_AT_ONCE:
                    self._sold += 1
                    task = asyncio.create_task(self._post())
                    self._posting.add(task)
                    task.add_done_callback(self._posting.discard)
            while self._posting:
                await asyncio.wait(self._posting)
        finally:
            for task in self._posting:
                task.cancel()

    def balance(self) -> Balance:
        """At present."""
        counted = Counter(one.event_id for one in self.sandbox.ledger.conversions())
        return Balance(
            sold=self._sold,
            acknowledged=len(self.shop.promised),
            arrived=len(counted),
            missing=frozenset(self.shop.promised).difference(one for one in counted if one),
            twice=sum(number > 1 for number in counted.values()),
            again=self._again,
        )

    async def arrival(self, of: AbstractSet[str] | None = None) -> None:
        """Until these have arrived, or everything that was acknowledged."""
        while self._missing(of):  # noqa: ASYNC110 - the other side is another program
            await asyncio.sleep(_LOOK_SECONDS)

    def _missing(self, of: AbstractSet[str] | None) -> AbstractSet[str]:
        missing = self.balance().missing
        return missing if of is None else missing & of

    async def _post(self) -> None:
        event = self.shop.event(self.clock())
        pauses = iter(self.pauses_seconds)
        while True:
            try:
                await self.shop.post(event)
            except RelayError:
                self._again += 1
                await asyncio.sleep(next(pauses, self.pauses_seconds[-1]))
            else:
                return

"""Keeping house: the store is swept now and then, in short steps. Knows no engine and no table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.logs import fault
from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.surroundings import Surroundings

ROUND_SECONDS: Final = 15.0
"""Between the end of one sweep and the beginning of the next."""
STEP_SECONDS: Final = 0.02
"""Between two steps: whoever wants to write comes first."""


@dataclass(slots=True)
class Housekeeping:
    """Removes what has outlived its retention.

    Attributes:
        step: does one short step of it, as `Store.sweep` does.
        retention: how long what is kept.
        around: time and log.
    """

    step: Callable[[Retention, datetime], Awaitable[Swept]]
    retention: Retention
    around: Surroundings

    def keep_for(self, retention: Retention) -> None:
        """Another retention from the next step on."""
        self.retention = retention

    async def run(self) -> None:
        """Sweeps until it is cancelled; whatever goes wrong in a sweep, the next one comes."""
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                self.around.log.error("housekeeping.failed", reason=str(error))
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
                self.around.log.error("housekeeping.failed", **fault(error))
            await self.around.sleep(ROUND_SECONDS)

    async def sweep(self) -> Swept:
        """All that is to be done at present, step by step; gives what was done.

        Raises:
            StoreError: the store could not do a step.
        """
        done = Swept()
        try:
            while True:
                done = done.then(await self.step(self.retention, self.around.clock()))
                if done.is_done:
                    return done
                await self.around.sleep(STEP_SECONDS)
        finally:
            self._say(done)

    def _say(self, done: Swept) -> None:
        if replace(done, is_done=True) != Swept():
            self.around.log.info(
                "housekeeping.swept",
                events=done.events,
                ledger_entries=done.ledger_entries,
                freed_bytes=done.freed_bytes,
            )

"""Looks every few seconds whether the configuration names other access tokens by now.

Tokens lie in files where a platform renews them; the environment of a process never changes. Knows
no destination.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from conversion_relay.errors import RelayError
from conversion_relay.service.logs import Log, fault
from conversion_relay.service.settings import Configuration

LOOK_SECONDS = 3.0


@dataclass(slots=True)
class Renewal:
    """Takes renewed access tokens over while the service runs.

    Attributes:
        reload: reads the configuration anew; raises RelayError when it cannot be used.
        renew: gives each destination its token.
        sleep: waits so many seconds.
        log: why a look failed, once for each reason.
    """

    reload: Callable[[], Configuration]
    renew: Callable[[Mapping[str, str]], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]]
    log: Log
    _complaint: str | None = None

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
                self.log.error("configuration.not_reloaded", **fault(error))

    async def look(self) -> None:
        """Reads the tokens once; with a configuration that cannot be used all stays as it is."""
        try:
            configuration = await asyncio.to_thread(self.reload)
        except RelayError as error:
            if self._complaint != str(error):
                self.log.warning("configuration.not_reloaded", reason=str(error))
            self._complaint = str(error)
            return
        self._complaint = None
        await self.renew(
            {
                name: settings.access_token.get_secret_value()
                for name, settings in configuration.destinations.items()
            }
        )

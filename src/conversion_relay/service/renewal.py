"""Looks every few seconds whether the configuration names other secrets by now.

Secrets lie in files where a platform renews them; the environment of a process never changes.
Access tokens of destinations and credentials of sources are taken over, nothing else. Knows no
destination.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from conversion_relay.errors import RelayError
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.logs import Log, fault
from conversion_relay.service.settings import Configuration, SourceSettings

LOOK_SECONDS = 3.0


def credentials_of(settings: SourceSettings) -> Credentials:
    """What the source accepts."""
    return Credentials(
        _encoded(settings.signing_secrets),
        _encoded(settings.bearer_tokens),
        _encoded(settings.write_keys),
        open_to_all=settings.authentication == "none",
    )


def _encoded(secrets: Sequence[SecretStr]) -> tuple[bytes, ...]:
    return tuple(secret.get_secret_value().encode() for secret in secrets)


@dataclass(slots=True)
class Renewal:
    """Takes renewed secrets over while the service runs.

    Attributes:
        reload: reads the configuration anew; raises RelayError when it cannot be used.
        renew: gives each destination its token.
        renew_sources: gives each source what it accepts.
        sleep: waits so many seconds.
        log: what was renewed; why a look failed, once for each reason.
    """

    reload: Callable[[], Configuration]
    renew: Callable[[Mapping[str, str]], Awaitable[None]]
    renew_sources: Callable[[Mapping[str, Credentials]], None]
    sleep: Callable[[float], Awaitable[None]]
    log: Log
    _complaint: str | None = None
    _accepted: dict[str, Credentials] = field(default_factory=dict)

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
                self.log.error("configuration.not_reloaded", **fault(error))

    async def look(self) -> None:
        """Reads the secrets once; with a configuration that cannot be used all stays as it is."""
        try:
            configuration = await asyncio.to_thread(self.reload)
        except RelayError as error:
            if self._complaint != str(error):
                self.log.warning("configuration.not_reloaded", reason=str(error))
            self._complaint = str(error)
            return
        self._complaint = None
        self._take_over(
            {name: credentials_of(source) for name, source in configuration.sources.items()}
        )
        await self.renew(
            {
                name: settings.access_token.get_secret_value()
                for name, settings in configuration.destinations.items()
            }
        )

    def _take_over(self, credentials: dict[str, Credentials]) -> None:
        for name in sorted(credentials):
            if self._accepted.get(name, credentials[name]) != credentials[name]:
                self.log.info("source.renewed", source=name)
        self._accepted = credentials
        self.renew_sources(credentials)

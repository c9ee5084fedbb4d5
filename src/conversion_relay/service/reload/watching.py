"""Looks every few seconds whether the files say another configuration by now.

A change has to be seen twice alike, so that a file that is being written is not taken. What was
refused is not tried again until it changes. Secrets that were renewed in their files are taken
over in any case. The environment of a process never changes; files do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from conversion_relay.errors import ConfigurationError, StoreError
from conversion_relay.service.logs import Log, fault
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.steps import Ask, Reloaded, Result

LOOK_SECONDS: Final = 3.0
_LOOKS_TO_TRY_AGAIN: Final = 7
"""About twenty seconds."""
_FILE: Final = Ask("file")


@dataclass(slots=True)
class _Sight:
    """What was seen in one place.

    Attributes:
        last: by which what was seen last is recognised.
        tried: the same of what was tried; it is not tried again.
        rest: looks before what was tried without an answer is tried again; None: never.
        found: what was seen last, so that it need not be compiled again and again.
    """

    last: str | None = None
    tried: str | None = None
    rest: int | None = None
    found: tuple[Candidate, ...] = ()

    def is_due(self, mark: str, *, at_once: bool = False) -> bool:
        """Whether it is to be tried now."""
        seen_before, self.last = self.last == mark, mark
        if mark != self.tried:
            return seen_before or at_once
        if self.rest is not None:
            self.rest -= 1
        return self.rest is not None and self.rest <= 0

    def note(self, mark: str, reloaded: Reloaded) -> None:
        """What came of it."""
        self.tried = mark
        self.rest = _LOOKS_TO_TRY_AGAIN if reloaded.result is Result.WAITING else None

    def clear(self) -> None:
        """Nothing is to be seen."""
        self.last = self.tried = self.rest = None
        self.found = ()


@dataclass(slots=True)
class Watch:
    """Looks at the files of the configuration.

    Attributes:
        reloader: tries what it sees.
        sleep: waits so many seconds.
        log: a fault of ours is told there.
    """

    reloader: Reloader
    sleep: Callable[[float], Awaitable[None]]
    log: Log
    _files: _Sight = field(default_factory=_Sight)
    _secrets: _Sight = field(default_factory=_Sight)

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
                _tell(self.log, error)

    async def look(self) -> None:
        """Looks once."""
        reloader = self.reloader
        with suppress(StoreError):  # that is told already
            await reloader.keep_again()
        try:
            known = (reloader.running, *self._files.found)
            found = await asyncio.to_thread(reloader.files.read, *known)
            self._files.found = (found,)
        except ConfigurationError as error:
            if not await self._may_be_half_written(str(error), error):
                await self._look_for_secrets()
            return
        if found.is_like(reloader.running):
            self._files.clear()
            self._secrets.clear()
            reloader.settle()
        elif reloader.leaves_aside(found) or not self._is_on:
            await self._look_for_secrets()
        elif self._files.is_due(found.digest, at_once=self._mends(found)):
            self._files.note(found.digest, await reloader.take(found, _FILE))
        elif self._files.tried == found.digest:
            await self._look_for_secrets()

    @property
    def _is_on(self) -> bool:
        return self.reloader.running.configuration.service.watch_changes

    def _mends(self, found: Candidate) -> bool:
        """Whether it holds another token for a lane that waits for one."""
        return found.differs_in_secrets(self.reloader.running) and any(
            self.reloader.ports.is_held(name) for name in found.configuration.destinations
        )

    async def _may_be_half_written(self, mark: str, error: ConfigurationError) -> bool:
        """Whether it was not seen so before; what cannot be used is told once."""
        if not self._is_on:
            return False
        if self._files.is_due(mark):
            self._files.note(mark, self.reloader.refuse(error, _FILE))
        return self._files.tried != mark

    async def _look_for_secrets(self) -> None:
        """Other secrets for what runs, whatever the files say besides."""
        reloader = self.reloader
        running = reloader.running
        known = (running, *self._files.found, *self._secrets.found)
        try:
            found = await asyncio.to_thread(
                reloader.files.restored, running.content, "the running configuration", *known
            )
            self._secrets.found = (found,)
        except ConfigurationError:
            return  # what the running service knows is all there is
        if found.is_like(running):
            self._secrets.clear()
        elif found.digest == self._files.tried:
            return  # the files say nothing else
        elif self._secrets.is_due(found.digest, at_once=self._mends(found)):
            ask = Ask("file", rolled_back=reloader.rolled_back)
            self._secrets.note(found.digest, await reloader.take(found, ask))


async def reload_when(asked: asyncio.Event, reloader: Reloader, log: Log) -> None:
    """Reloads whenever that is asked for, until cancelled; asked often meanwhile is asked once."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await reloader.reload(Ask("signal"))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
            _tell(log, error)


def _tell(log: Log, error: Exception) -> None:
    if isinstance(error, StoreError):
        log.warning("configuration.not_reloaded", reason=str(error))
    else:
        log.error("configuration.not_reloaded", **fault(error))

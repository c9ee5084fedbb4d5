"""The running service as one thing: its store, its workers and its HTTP application.

Knows its parts by their interfaces; which ones they are is said in `app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

from conversion_relay.errors import StoreError
from conversion_relay.service.http.edge.door import Door
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Sources
from conversion_relay.service.store.port import Store
from conversion_relay.service.worker import Worker

Background = Callable[[], Coroutine[None, None, None]]


@dataclass(slots=True)
class Relay:
    """The running service.

    Attributes:
        store: keeps events and deliveries.
        workers: by the name of their destination.
        http: the application.
        door: the bounds of its connections.
        background: what runs beside the workers until the end.
        sources: who may post.
    """

    store: Store
    workers: Mapping[str, Worker]
    http: FastAPI
    door: Door
    background: list[Background] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    _delivering: list[asyncio.Task[None]] = field(default_factory=list)

    def wake(self) -> None:
        """Tells every worker that something arrived."""
        for worker in self.workers.values():
            worker.wake()

    def stop(self) -> None:
        """Tells every worker to claim nothing more."""
        for worker in self.workers.values():
            worker.stop()

    async def renew(self, credentials: Mapping[str, str]) -> None:
        """Gives each destination its present credential; a lane it held goes on at once."""
        for name, credential in credentials.items():
            if name in self.workers:
                await self.workers[name].renew(credential)

    def renew_sources(self, credentials: Mapping[str, Credentials]) -> None:
        """Lets each source accept its present credentials, and no others."""
        self.sources.renew(credentials)

    async def unready(self) -> str | None:
        """Why the service cannot do its work, or None when it can."""
        if not self._delivering or any(task.done() for task in self._delivering):
            return "A delivery worker is not running."
        try:
            for name in self.workers:
                await self.store.next_due(name)
        except StoreError as error:
            return f"The store does not answer: {error}."
        trouble = self.store.trouble()
        return f"Nothing could be written last time: {trouble}." if trouble else None

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Runs workers and background; on leaving, waits for what is on its way."""
        beside = [asyncio.create_task(work()) for work in self.background]
        self._delivering = [asyncio.create_task(one.run()) for one in self.workers.values()]
        try:
            yield
        finally:
            self.stop()
            for task in beside:
                task.cancel()
            await asyncio.wait([*self._delivering, *beside])

"""The running service as one thing: its store, its workers and its HTTP application.

Knows its parts by their interfaces; which ones they are is said in `app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from fastapi import FastAPI

from conversion_relay.core.plan import Target
from conversion_relay.errors import StoreError
from conversion_relay.service.canary.canary import Canary
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.fleet import Fleet
from conversion_relay.service.http.edge.door import Door
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.readiness import Readiness
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.cluster import Role
from conversion_relay.service.store.port import Store
from conversion_relay.service.worker import Worker

Background = Callable[[], Coroutine[None, None, None]]
TakeOver: TypeAlias = Callable[[Configuration, tuple[Target, ...]], None]
"""Goes on with this configuration and these targets. Waits for nothing, and cannot fail."""


@dataclass(slots=True)
class Relay:
    """The running service.

    Attributes:
        configuration: in effect.
        targets: its destinations.
        store: keeps events and deliveries.
        fleet: delivers.
        http: the application.
        door: the bounds of its connections.
        background: what runs beside the workers until the end.
        adopting: the parts that take another configuration over, all in one step.
        reloader: changes the configuration; None where nobody knows where it comes from.
        canaries: how canaries fare, by destination; whoever runs them says it.
        canary: sends them, where the address at which the service listens is known.
        monitor: watches the flow; its alerts and figures are for whoever shows them.
        role: what this process does of the work.
        address: at which it listens, for people; empty: at none.
        readings: how far its counters have counted, for the node that watches; JSON.
        stands_in: what becomes of new events while the store takes none; None: they are refused.
    """

    configuration: Configuration
    targets: tuple[Target, ...]
    store: Store
    fleet: Fleet
    http: FastAPI
    door: Door
    background: list[Background] = field(default_factory=list)
    adopting: list[TakeOver] = field(default_factory=list)
    canaries: Callable[[], Mapping[str, CanaryStanding]] = dict
    reloader: Reloader | None = None
    canary: Canary | None = None
    monitor: Monitor | None = None
    role: Role = Role.ALL
    address: str = ""
    readings: Callable[[], str] = lambda: "{}"
    stands_in: Callable[[], str | None] = lambda: None

    @property
    def workers(self) -> Mapping[str, Worker]:
        """By the name of their destination; always the same mapping, whoever works."""
        return self.fleet.workers

    def wake(self) -> None:
        """Tells every worker that something arrived."""
        for worker in self.workers.values():
            worker.wake()

    def look_at_lanes(self) -> None:
        """Tells every worker that another node changed a lane."""
        for worker in self.workers.values():
            worker.heard()

    def stop(self) -> None:
        """Tells every worker to claim nothing more, and the canary to rest."""
        self.fleet.stop()
        if self.canary is not None:
            self.canary.rest()

    async def adopt(self, configuration: Configuration, targets: tuple[Target, ...]) -> None:
        """Goes on with another configuration.

        Everything changes in one step of the event loop: no request and no delivery meets half of
        it. What began before ends with what it began with. What only a start can take (address,
        database, bounds) stays as it is.
        """
        exchange = await self.fleet.prepare(configuration, targets)
        self.configuration, self.targets = configuration, targets
        for take_over in self.adopting:
            take_over(configuration, targets)
        self.fleet.swap(exchange)
        await self.fleet.renew(configuration)
        self.wake()

    async def readiness(self) -> Readiness:
        """Whether the service can do its work: with something that stands in, it takes events."""
        if not self.fleet.is_whole:
            return Readiness("A delivery worker is not running.")
        instead = self.stands_in()
        trouble = self._unwritten() if instead else None  # a probe does not wait for what is lost
        trouble = trouble or await self._unread() or self._unwritten()
        return (
            Readiness(None, f"{trouble} {instead}") if trouble and instead else Readiness(trouble)
        )

    async def _unread(self) -> str | None:
        try:
            for name in tuple(self.workers):
                await self.store.next_due(name)
        except StoreError as error:
            return f"The store does not answer: {error}."
        return None

    def _unwritten(self) -> str | None:
        trouble = self.store.trouble()
        return f"Nothing could be written last time: {trouble}." if trouble else None

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Runs workers and background; on leaving, waits for what is on its way."""
        beside = [asyncio.create_task(work()) for work in self.background]
        self.fleet.start()
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await self.fleet.ended()
            if beside:
                await asyncio.wait(beside)
            if self.monitor is not None:
                await self.monitor.close()

"""What all ways in share: plan the events of a request, keep them, count them, say what was kept.

Large requests go one after the other. Knows the store only by its port and no HTTP; how a request
is received, verified and taken apart is the business of the way it came in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.errors import StoreBusy, StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.accounts import Accounts
from conversion_relay.service.http.body import BodyLimits
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.http.turns import Pace, Turns
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import NewEvent, Store

LARGE_BYTES: Final = 64 * 1024
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
Answer: TypeAlias = dict[str, bool | int]


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bounds of one request."""

    body: BodyLimits
    max_event_bytes: int
    max_batch_events: int


@dataclass(slots=True)
class Intake:
    """Takes the events of a request in.

    Attributes:
        sources: the configured ones.
        store: where events are kept.
        limits: bounds of one request.
        clock: gives the present, aware.
        arrived: called after a commit that left something to deliver.
        metrics: counters.
        log: one line for each decision.
    """

    sources: Sources
    store: Store
    limits: IngestLimits
    clock: Callable[[], datetime]
    arrived: Callable[[], None]
    metrics: Metrics
    log: Log
    planner: Planner = field(init=False)
    accounts: Accounts = field(init=False)
    _turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        """Prepares what every request needs."""
        routes = {source.name: source.targets for source in self.sources}
        self.planner = Planner(routes, self.limits.max_event_bytes, self.clock, self.log)
        self.accounts = Accounts(routes, self.metrics)
        self._turns = Turns(_MAX_WAITING_BYTES)

    async def in_turn(
        self, size_bytes: int, work: Callable[[], Awaitable[Problem | Answer]]
    ) -> Problem | Answer:
        """Does the work on a request of this size; large requests wait for each other."""
        if size_bytes <= LARGE_BYTES:
            return await work()
        if not self._turns.has_room(size_bytes):
            return refusals.busy()
        async with self._turns.turn(size_bytes):
            return await work()

    async def take(
        self, source: Source, found: Sequence[Decoded | Unusable], size_bytes: int
    ) -> Problem | Answer:
        """What was kept of these elements of a request, or why nothing was."""
        if not self.store.has_room(len(found), size_bytes):
            return refusals.busy()
        pace = Pace()
        planned: list[NewEvent] = []
        for element in found:
            planned.append(self.planner.plan(source.name, element))
            await pace.breathe()
        return await self._keep(source.name, planned)

    async def _keep(self, source: str, planned: Sequence[NewEvent]) -> Problem | Answer:
        try:
            receipt = await self.store.append(planned)
        except StoreBusy:
            return refusals.busy()
        except StoreError as error:
            self.log.error("ingest.not_kept", source=source, reason=str(error))
            return refusals.not_kept()
        if any(event.deliveries for event in planned):
            self.arrived()
        return self.accounts.keep(source, planned, receipt)

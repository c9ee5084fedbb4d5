"""What all ways in share: plan the events of a request, keep them, count them, say what was kept.

Large requests go one after the other. Knows the store only by its port and no HTTP; how a request
is received, verified and taken apart is the business of the way it came in.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.errors import StoreBusy, StoreError
from conversion_relay.service import attribution
from conversion_relay.service.http import refusals
from conversion_relay.service.http.accounts import Accounts
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.rate import Allowances
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.http.turns import Pace, Turns
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.remembering import Known, Recall
from conversion_relay.service.store.port import NewEvent, Receipt, Store
from conversion_relay.service.tracing import NO_TRACES, Tracer

LARGE_BYTES: Final = 64 * 1024
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
Answer: TypeAlias = dict[str, bool | int]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bounds of one request."""

    body: BodyLimits
    max_event_bytes: int
    max_batch_events: int
    max_nesting: int = 64


@dataclass(frozen=True, slots=True)
class Planned:
    """What the events of a request lead to.

    Attributes:
        source: where they came from.
        events: to be kept, all or none.
        counted: how many the rate of the source gets back if they are not kept.
    """

    source: str
    events: Sequence[NewEvent] = field(repr=False)
    counted: int = 0


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
        monotonic: gives seconds that never go back.
        tracer: follows what is done.
    """

    sources: Sources
    store: Store
    limits: IngestLimits
    clock: Callable[[], datetime]
    arrived: Callable[[], None]
    metrics: Metrics
    log: Log
    monotonic: Callable[[], float] = time.monotonic
    tracer: Tracer = NO_TRACES
    planner: Planner = field(init=False)
    recall: Recall = field(init=False)
    accounts: Accounts = field(init=False)
    _lasts: dict[str, timedelta] = field(default_factory=dict)
    _turns: Turns = field(init=False)
    _allowances: Allowances = field(init=False)

    def __post_init__(self) -> None:
        """Prepares what every request needs."""
        self.recall = Recall(self._remembered, self._lasts, self.clock, self.metrics, self.log)
        self.accounts = Accounts((), self.metrics)
        self._turns = Turns(_MAX_WAITING_BYTES)
        self._allowances = Allowances((), self.monotonic)
        self._prepare()

    def adopt(self, sources: Sequence[Source]) -> None:
        """Takes events of these sources from now on; what they still may send stays as it is."""
        self.sources.exchange(sources)
        self._prepare()

    def _prepare(self) -> None:
        self._lasts.clear()
        self._lasts.update(_lasts(self.sources))
        self.planner = self.planner_of(self.sources)
        self.accounts.know(source.name for source in self.sources)
        self._allowances.limit((one.name, one.rate_limit) for one in self.sources)

    def planner_of(self, sources: Iterable[Source]) -> Planner:
        """What plans the events of these sources, whatever is configured."""
        among = tuple(sources)
        return Planner(
            {source.name: source.targets for source in among},
            self.limits.max_event_bytes,
            self.clock,
            self.log,
            _lasts(among),
            self.limits.max_nesting,
        )

    def over_rate(self, source: Source) -> Problem | None:
        """Why nothing is taken from the source for now; to be asked before a body is received."""
        wait_seconds = self._allowances.wait_seconds(source.name)
        return refusals.too_many_events(wait_seconds) if wait_seconds else None

    async def in_turn(
        self, size_bytes: int, work: Callable[[], Awaitable[Problem | Result]]
    ) -> Problem | Result:
        """Does the work on a request of this size; large requests wait for each other."""
        if size_bytes <= LARGE_BYTES:
            return await work()
        if not self._turns.has_room(size_bytes):
            return refusals.busy()
        async with self._turns.turn(size_bytes):
            return await work()

    async def plan(
        self, source: Source, found: Sequence[Decoded | Unusable], size_bytes: int
    ) -> Problem | Planned:
        """What these elements of a request lead to, or why they are not taken.

        The rate of the source counts them from now on: others come in meanwhile.
        """
        if over := self.over_rate(source):
            return over
        self._allowances.spend(source.name, len(found))
        planned = await self.plan_past(source, found, size_bytes)
        if isinstance(planned, Problem):
            self._allowances.spend(source.name, -len(found))
            return planned
        return replace(planned, counted=len(found))

    async def plan_past(
        self, source: Source, found: Sequence[Decoded | Unusable], size_bytes: int
    ) -> Problem | Planned:
        """The same for events of the past, which an operator sends: no rate holds them up."""
        if not self.store.has_room(len(found), size_bytes):
            return refusals.busy()
        with self.tracer.span("plan", source=source.name, events=len(found)):
            events = await self._planned(source, found)
        if len(events) == 1:
            attribution.concern(events[0].message_id)
        return Planned(source.name, events)

    async def _planned(
        self, source: Source, found: Sequence[Decoded | Unusable]
    ) -> list[NewEvent]:
        """With the source as it was when its request came, whatever is configured by now."""
        is_current = self.sources.get(source.name) is source
        planner = self.planner if is_current else self.planner_of((source,))
        memory = await self.recall.of(source.name, found)
        pace = Pace()
        events: list[NewEvent] = []
        for element in found:
            events.append(planner.plan(source.name, element, memory))
            if pace.is_over():
                await pace.breathe()
        return events

    async def keep(self, planned: Planned) -> Problem | Answer:
        """What was kept, once it is on the disk, or why nothing was.

        Not to be waited for inside a turn: while one request waits for the disk, the next is
        planned, and both may go there together.
        """
        try:
            receipt = await self._append(planned)
        except StoreError as error:
            self._allowances.spend(planned.source, -planned.counted)
            if isinstance(error, StoreBusy):
                return refusals.busy()
            self.log.error("ingest.not_kept", source=planned.source, reason=str(error))
            return refusals.not_kept()
        if any(event.deliveries for event in planned.events):
            self.arrived()
        return self.accounts.keep(planned.source, planned.events, receipt)

    async def _append(self, planned: Planned) -> Receipt:
        events = planned.events
        with self.tracer.span("append", source=planned.source, events=len(events)) as span:
            receipt = await self.store.append(events)
            span.note(duplicates=receipt.duplicates)
        return receipt

    async def _remembered(self, source: str, subjects: Sequence[str], now: datetime) -> Known:
        return await self.store.remembered(source, subjects, now)


def _lasts(sources: Iterable[Source]) -> dict[str, timedelta]:
    """How long match keys are remembered, of the sources that opted in."""
    return {one.name: one.remembers_for for one in sources if one.remembers_for}

"""Sends the canary at its interval, follows it, and says how it fares.

A canary that waits keeps the next one of its destination back: while a lane is open, one waits and
not hundreds. Knows webhook, store and lanes by their ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition, Lane
from conversion_relay.errors import StoreError
from conversion_relay.service.canary.door import Post, webhook
from conversion_relay.service.canary.event import event_of
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.logs import fault
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.port import DeliveryRecord
from conversion_relay.service.surroundings import Surroundings

DEADLINE: Final = timedelta(seconds=40)
"""So long it may take to be accepted: two requests that TikTok answers slowly."""
_LOOK_SECONDS: Final = 0.5
_ON_ITS_WAY: Final = frozenset({State.PENDING, State.CLAIMED, State.HELD})


class Deliveries(Protocol):
    """What the canary asks of a store."""

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events."""
        ...


@dataclass(slots=True)
class Canary:
    """The canaries of all destinations, each on its own.

    Attributes:
        store: tells what became of them.
        lane: of a destination; None where there is none.
        around: time, counters, log.
        new_id: gives an id that nothing else has.
        enabled: whether they are sent.
        every: how often.
        deadline: so long one may take to be accepted.
        is_ours: whether it is for this node to send them; others may do it for all.
    """

    store: Deliveries
    lane: Callable[[str], Lane | None]
    around: Surroundings
    new_id: Callable[[], str]
    enabled: bool = False
    every: timedelta = timedelta(minutes=1)
    deadline: timedelta = DEADLINE
    is_ours: Callable[[], bool] = lambda: True
    _standings: dict[str, CanaryStanding] = field(default_factory=dict)
    _flights: dict[str, str] = field(default_factory=dict)
    _following: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _told: set[str] = field(default_factory=set)
    _runs: bool = False

    def configure(self, configuration: Configuration) -> None:
        """Goes on with these settings, and to these destinations."""
        settings = configuration.canary
        self.enabled, self.every = settings.enabled, settings.every
        codes = {name: one.own_test_event_code for name, one in configuration.destinations.items()}
        self._standings = {
            name: self._known(name, stops=code is None) for name, code in codes.items()
        }
        self._changed.set()

    @property
    def standings(self) -> Mapping[str, CanaryStanding]:
        """How each fares, by destination; none while this process sends none."""
        return dict(self._standings) if self.is_ready and self.is_ours() else {}

    @property
    def is_ready(self) -> bool:
        """Whether it would send them, if that is for this node to do."""
        return self._runs and self.enabled

    async def run_at(self, address: str) -> None:
        """Sends them to the service at this address until cancelled."""
        async with webhook(address) as post:
            await self.run(post)

    async def run(self, post: Post) -> None:
        """Sends them until cancelled."""
        self._runs = True
        try:
            while True:
                self._changed.clear()
                self.send(post)
                await self._pause()
        finally:
            self._runs = False
            under_way = tuple(self._following.values())
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def rest(self) -> None:
        """Sends none any more and judges none: the service stops, and its door is shut."""
        self._runs = False
        for task in self._following.values():
            task.cancel()

    def send(self, post: Post) -> None:
        """Sends one to every destination, or looks again for the one that waits; beside others."""
        for name in self.standings.keys() - self._following.keys():
            self._say_how_far(name)
            self._following[name] = asyncio.create_task(self._follow(name, post))

    def _known(self, name: str, *, stops: bool) -> CanaryStanding:
        """What was learnt of it stays, unless it goes another way now."""
        known = self._standings.get(name)
        if known is not None and known.stops_before_tiktok == stops:
            return known
        self._flights.pop(name, None)
        return CanaryStanding(name, stops)

    def _say_how_far(self, name: str) -> None:
        """Once, until it changes."""
        if not self._standings[name].stops_before_tiktok:
            self._told.discard(name)
        elif name not in self._told:
            self._told.add(name)
            self.around.log.info("canary.stops_before_tiktok", destination=name)

    async def _pause(self) -> None:
        """Until the next ones are due, or other settings came."""
        awaited = (
            asyncio.ensure_future(self._changed.wait()),
            asyncio.ensure_future(self.around.sleep(self.every.total_seconds())),
        )
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in awaited:
                one.cancel()

    async def _follow(self, name: str, post: Post) -> None:
        try:
            failure = await self._failure(name, post)
        except StoreError as error:
            failure = f"the store does not answer: {error}"
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the canary
            self.around.log.error("canary.broken", destination=name, **fault(error))
            failure = "the service met a fault of its own"
        finally:
            del self._following[name]
        self._judge(name, failure)

    async def _failure(self, name: str, post: Post) -> str | None:
        """Why it did not come through, or None."""
        waiting = self._flights.get(name)
        if waiting is not None:
            failure = await self._look(name, waiting)
            if name in self._flights:
                return failure
        message_id = f"canary-{self.new_id()}"
        failure = await post(event_of(name, message_id, self.around.clock()))
        standing = self._standings.get(name)
        if failure is not None or standing is None or standing.stops_before_tiktok:
            return failure
        self._flights[name] = message_id
        return await self._arrival(name, message_id)

    async def _arrival(self, name: str, message_id: str) -> str | None:
        """Looks again and again until the deadline."""
        failure = await self._look(name, message_id)
        for _ in range(int(self.deadline.total_seconds() / _LOOK_SECONDS)):
            if self._flights.get(name) != message_id:
                break
            await self.around.sleep(_LOOK_SECONDS)
            failure = await self._look(name, message_id)
        return failure

    async def _look(self, name: str, message_id: str) -> str | None:
        """Why it has not come through; it is no longer under way once that is decided."""
        found = await self.store.deliveries([message_id])
        waiting = [one for one in found if one.state in _ON_ITS_WAY]
        if waiting:
            return self._why_waiting(name, waiting[0])
        self._flights.pop(name, None)
        if not found:
            return "the webhook took it, and nothing of it is to be delivered"
        record = found[0]
        if record.state is State.DELIVERED:
            return None
        return f"it ended as {record.state.value}: {record.reason or 'no reason was kept'}"

    def _why_waiting(self, name: str, record: DeliveryRecord) -> str:
        """What is known of it: the lane says most, then the last answer."""
        seconds = self.deadline // timedelta(seconds=1)
        said, lane = f"TikTok has not accepted it within {seconds} s", self.lane(name)
        if lane is not None and lane.condition is not Condition.FLOWING:
            return f"{said}; the lane is {lane.condition.value}: {lane.reason or 'no reason kept'}"
        return f"{said}: {record.reason}" if record.reason else f"{said}, and nothing was answered"

    def _judge(self, name: str, failure: str | None) -> None:
        standing, now = self._standings.get(name), self.around.clock()
        if standing is None:
            return  # no longer configured
        if failure is None:
            self._succeeded(standing, now)
        else:
            self._failed(standing, failure, now)

    def _succeeded(self, standing: CanaryStanding, now: datetime) -> None:
        name = standing.destination
        if standing.reason is not None:
            self.around.log.info("canary.recovered", destination=name)
        self._standings[name] = replace(
            standing, last_success_at=now, failing_since=None, failures=0, reason=None
        )
        self.around.metrics.count_canary(name, "succeeded", now)

    def _failed(self, standing: CanaryStanding, reason: str, now: datetime) -> None:
        name = standing.destination
        self.around.log.warning("canary.failed", destination=name, reason=reason)
        self._standings[name] = replace(
            standing,
            last_failure_at=now,
            failing_since=standing.failing_since or now,
            failures=standing.failures + 1,
            reason=reason,
        )
        self.around.metrics.count_canary(name, "failed", None)

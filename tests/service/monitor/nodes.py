"""Several monitors over one database in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from conversion_relay.core.lane import Condition
from conversion_relay.service.alerting.alert import News, Notification
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.monitor.duty import CANARY, Duty
from conversion_relay.service.monitor.figures import LaneFigures, SpoolFigures
from conversion_relay.service.monitor.gathering import Ports
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.store.cluster import BEAT_SECONDS, NodeStanding, Role
from conversion_relay.service.store.port import ClaimedDelivery, RequestRecord, Store
from conversion_relay.service.surroundings import Surroundings
from service.monitor.memory import Kept, Memory
from support.cluster import Commons, FakeCluster
from support.lines import Lines
from support.time import START, VirtualTime, Work, drive

EVERY = {"add_flow", "flow", "waiting", "keep_alert", "alerts", "sizes", "strain", "waiting_value"}


@dataclass
class Node:
    """A process: its monitor, and its heartbeat.

    Attributes:
        lanes: of what it delivers to.
        told: every notification of it.
        delivers: whether its worker looks for work.
        sends_canaries: whether it could.
    """

    name: str
    commons: Commons
    shared: Memory
    lanes: dict[str, LaneFigures] = field(default_factory=dict)
    told: list[Notification] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    log: Lines = field(default_factory=Lines)
    spool: SpoolFigures = field(default_factory=SpoolFigures)
    configuration: str = "one"
    delivers: bool = True
    sends_canaries: bool = True
    cluster: FakeCluster = field(init=False)
    store: Kept = field(init=False)
    monitor: Monitor = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Makes it."""
        time = self.commons.time
        self._goes_on.set()
        self.cluster = FakeCluster(self.commons, self.name)
        own = Memory(counted=self.shared.counted, records=self.shared.records)
        self.store = Kept(history=own, cluster=self.cluster)
        around = Surroundings(time, lambda: 0.5, self.metrics, self.log, self._sleep)
        canary = Duty(CANARY, self.cluster, around, lambda: self.sends_canaries)
        ports = Ports(
            cast("Store", self.store),
            lambda: self.lanes,
            lambda: frozenset({"shop"}),
            lambda: self._canaries(canary),
            lambda: None,
            lambda: {"tiktok"},
            lambda _: self.spool,
        )
        self.monitor = Monitor(ports, self._notify, around, duties=(canary,))

    def start(self) -> None:
        """Runs it."""
        self._tasks = [asyncio.create_task(one) for one in (self.monitor.run(), self._beat())]

    async def kill(self) -> None:
        """Without a goodbye."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def leave(self) -> None:
        """As at an ordinary stop."""
        await self.kill()
        await self.monitor.close()
        await self.cluster.leave()

    def pause(self) -> None:
        """It does not go on, in the middle of a look, and does not notice."""
        self._goes_on.clear()
        self.store.history.hangs.add("sizes")

    def go_on(self) -> None:
        """It does."""
        self.store.history.hangs.clear()
        self._goes_on.set()

    def cut_off(self) -> None:
        """The database does not answer it any more."""
        self.cluster.is_cut_off = True
        self.store.history.fails |= EVERY

    def reach(self) -> None:
        """It does again."""
        self.cluster.is_cut_off = False
        self.store.history.fails.clear()
        self.store.reason = None

    def receive(self, count: int = 1) -> None:
        """Events of the shop arrive here."""
        self.metrics.received.labels("shop", "planned").inc(count)

    def ask_tiktok(self, result: str) -> None:
        """A request, and how it ended."""
        now = self.commons.time.now
        self.metrics.count_request(RequestRecord("tiktok", now, 0.1, 1, result))

    def give_up(self) -> None:
        """A delivery, for good."""
        now = self.commons.time.now
        names = {"destination": "tiktok", "mapping": "Order", "event_name": "PlaceAnOrder"}
        one = ClaimedDelivery(
            1, 1, message_id="m", envelope="", event_id=None, body=b"", attempts=1,
            accepted_at=now, first_unknown_at=None, source="shop", **names,
        )  # fmt: skip
        self.metrics.count_settled(one, "dead")

    def shows(self, line: str) -> bool:
        """Whether /metrics has this line."""
        return line in self.metrics.exposition().decode().splitlines()

    async def _sleep(self, seconds: float) -> None:
        await self.commons.time.sleep(seconds)
        await self._goes_on.wait()

    async def _beat(self) -> None:
        time = self.commons.time
        begun = time.now
        while True:
            if self.delivers:
                for name, one in self.lanes.items():
                    self.lanes[name] = replace(one, turned_at=time.now)
            standing = NodeStanding(
                Role.ALL, "1", "", begun, self.configuration, self.monitor.published()
            )
            with suppress(Exception):
                await self.cluster.beat(standing, time.now)
            await self._sleep(BEAT_SECONDS)

    def _canaries(self, duty: Duty) -> Mapping[str, CanaryStanding]:
        if not (self.sends_canaries and duty.is_ours):
            return {}
        return {"tiktok": CanaryStanding("tiktok", stops_before_tiktok=False, reason=self.name)}

    def _notify(self, notification: Notification) -> None:
        self.told.append(notification)


@dataclass
class Nodes:
    """All of them.

    Attributes:
        nodes: by name.
    """

    commons: Commons = field(default_factory=lambda: Commons(VirtualTime()))
    shared: Memory = field(default_factory=Memory)
    nodes: dict[str, Node] = field(default_factory=dict)

    def add(self, *names: str, lanes: bool = True) -> None:
        """Starts these, as soon as time passes."""
        for name in names:
            own = {"tiktok": LaneFigures(Condition.FLOWING)} if lanes else {}
            self.nodes[name] = Node(name, self.commons, self.shared, own)
            self.nodes[name].start()

    @property
    def now(self) -> datetime:
        """The present."""
        return self.commons.time.now

    @property
    def watcher(self) -> str | None:
        """Who has the duty by the database."""
        name, until = self.commons.duties.get("watch", ("", START))
        return name if until > self.now else None

    async def run_for(self, length: timedelta) -> None:
        """So much time passes."""
        alarm = asyncio.create_task(self.commons.time.sleep(length.total_seconds()))
        await drive(self.commons.time, Work(), alarm.done)

    async def end(self) -> None:
        """All of them."""
        for node in self.nodes.values():
            await node.kill()

    def told(self) -> list[tuple[str, News, str, str]]:
        """Who said what of which rule and subject, in order."""
        return [
            (name, one.news, one.alert.finding.rule, one.alert.finding.subject)
            for at, name, one in sorted(
                ((one.at, name, one) for name, node in self.nodes.items() for one in node.told),
                key=lambda said: said[:2],
            )
        ]

    def said(self, rule: str) -> list[tuple[str, News]]:
        """Who said what of this rule."""
        return [(name, news) for name, news, one, _ in self.told() if one == rule]

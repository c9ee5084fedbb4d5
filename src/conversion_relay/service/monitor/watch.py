"""The flow monitor: looks every few seconds, keeps alerts, and tells of them.

What is wrong is the rules' to say, when that is an alert the life's; this is the loop around them.
It needs no healthy store: what cannot be written waits in memory, and what does not answer is
itself a finding. Of several nodes, one judges for all; the others follow, to take its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.alerting.alert import Alert, Notification
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.logs import fault
from conversion_relay.service.monitor.attendance import Attendance
from conversion_relay.service.monitor.books import Books
from conversion_relay.service.monitor.course import grown
from conversion_relay.service.monitor.duty import WATCH, Duty
from conversion_relay.service.monitor.figures import Snapshot
from conversion_relay.service.monitor.gathering import Gathering, Ports
from conversion_relay.service.monitor.heart import Heart, Orders
from conversion_relay.service.monitor.learning import Lessons
from conversion_relay.service.monitor.life import Told, key_of
from conversion_relay.service.monitor.published import written
from conversion_relay.service.monitor.rules import OWN_NAMES, RULES, Broken
from conversion_relay.service.monitor.showing import figures_of
from conversion_relay.service.monitor.succession import Succession
from conversion_relay.service.monitor.telling import ANSWER_SECONDS, Telling
from conversion_relay.service.monitor.view import Rule
from conversion_relay.service.surroundings import Surroundings

TICK_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 2.0
_MINUTE: Final = timedelta(minutes=1)


@dataclass(slots=True)
class Monitor:
    """Watches the flow of one service.

    Attributes:
        ports: what is asked about it.
        notify: takes what there is to say; never fails and never waits.
        around: time, counters, log.
        orders: what an operator decided; may be exchanged at any time.
        rules: what is looked for.
        duties: what else this node may do for all; renewed with each look.
        figures: the latest snapshot; None before the first.
    """

    ports: Ports
    notify: Callable[[Notification], None]
    around: Surroundings
    orders: Orders = field(default_factory=Orders)
    rules: Sequence[Rule] = RULES
    duties: Sequence[Duty] = ()
    figures: Snapshot | None = None
    _books: Books = field(init=False)
    _attendance: Attendance = field(init=False)
    _succession: Succession = field(init=False)
    _gathering: Gathering = field(init=False)
    _telling: Telling = field(init=False)
    _heart: Heart | None = None
    _lesson: asyncio.Task[None] | None = None
    _broken: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Prepares what is written and what is read."""
        store, around = self.ports.store, self.around
        watch = Duty(WATCH, store.cluster, around)
        self._books = Books(store.history, around)
        self._attendance = Attendance(store.cluster, around, watch, self.duties)
        self._succession = Succession(self._books, watch, around)
        self._gathering = Gathering(self.ports, around, self._attendance)
        self._telling = Telling(store.history, around)

    def alerts(self) -> Sequence[Alert]:
        """Those that are open now, oldest first; whoever judges."""
        present = {} if self._heart is None else self._heart.standing.open
        found = [self._books.numbered(alert) for alert in present.values()]
        if not self._succession.judges:
            found += (one for one in self._succession.open if key_of(one.finding) not in present)
        return sorted(found, key=lambda alert: alert.opened_at)

    def canaries(self) -> Mapping[str, CanaryStanding]:
        """How canaries fare, by destination; whoever sends them."""
        return self._attendance.canaries(self.ports.canaries())

    def published(self) -> str:
        """What the other nodes are told of this one, as JSON."""
        return written(self._gathering.published(), self.around.clock())

    async def run(self) -> None:
        """Watches until it is cancelled; whatever goes wrong in a turn, the next one comes."""
        try:
            while True:
                try:
                    await self.look()
                except Exception as error:  # noqa: BLE001 - who watches must not end
                    self.around.log.error("monitor.failed", **fault(error))
                await self.around.sleep(TICK_SECONDS)
        finally:
            self._gathering.drop()
            if self._lesson is not None:
                self._lesson.cancel()

    async def close(self) -> None:
        """Writes down what was counted until now, once nothing is on its way any more."""
        now = self.around.clock()
        read = {} if self._heart is None else self._heart.read
        self._books.count(grown(read, self.around.metrics.readings()), now)
        await self._books.close(_CLOSING_SECONDS)

    async def look(self) -> None:
        """One turn: what is, what that means, and what is said of it."""
        self._heart = self._heart or Heart(self.around.clock())
        self._learn(self._heart.started_at)
        is_answered = await self._attendance.ask()
        await self._succession.look(is_answered=is_answered)
        self._heart = self._succession.applied(self._heart, is_answered=is_answered)
        snapshot = await self._gathering.snapshot()
        before = self.figures.at if self.figures else self._heart.started_at
        self.figures = snapshot
        self._heart, told, broken = self._judged(self._heart, snapshot)
        self._books.count(self._heart.lately, before + (snapshot.at - before) / 2)
        self._admit(broken)
        await self._tell(told, snapshot)
        self._show(snapshot)

    def _judged(
        self, heart: Heart, snapshot: Snapshot
    ) -> tuple[Heart, Sequence[Told], Sequence[Broken]]:
        """By every rule; by the node's own ones, if another node judges for all."""
        if self._succession.judges:  # asked at the last moment: the process may have been stopped
            return heart.then(snapshot, self.orders, self.rules)
        return heart.beside(snapshot, self.orders)

    def _admit(self, broken: Sequence[Broken]) -> None:
        """Logs which rules are broken, once."""
        for one in broken:
            if one.rule not in self._broken:
                self.around.log.error("monitor.rule_failed", rule=one.rule, **fault(one.error))
        self._broken = frozenset(one.rule for one in broken)

    def _learn(self, begin: datetime) -> None:
        """Has the past read beside everything else, until that worked once."""
        if self._lesson is None:
            self._lesson = asyncio.create_task(self._read_the_past(begin))

    async def _read_the_past(self, begin: datetime) -> None:
        lessons = Lessons(begin)
        history = self.ports.store.history
        for since, until in lessons.slices():
            while True:
                try:
                    lessons.learn(await history.flow(since, until, _MINUTE))
                    break
                except StoreError as error:
                    self.around.log.warning("monitor.not_learnt", reason=str(error))
                    await self.around.sleep(TICK_SECONDS)
        self._heart = (self._heart or Heart(begin)).taught(lessons)

    async def _tell(self, told: Sequence[Told], snapshot: Snapshot) -> None:
        """Writes down what there is to say, and says it, written or not.

        What a node says of itself alone is written down once it is over: nobody else could end it.
        """
        self._succession.note(told)
        for _, alert in told:
            if alert.finding.rule not in OWN_NAMES or alert.resolved_at is not None:
                self._books.keep(self._books.numbered(alert))
        writing = self._books.write()
        if told and writing is not None:
            await self._wait_for(writing)
        for news, alert in told:
            numbered = self._books.numbered(alert)
            self.notify(await self._telling.notification(news, numbered, snapshot))

    async def _wait_for(self, writing: asyncio.Task[None]) -> None:
        """A moment: with it, what is said has a number."""
        alarm = asyncio.ensure_future(self.around.sleep(ANSWER_SECONDS))
        try:
            await asyncio.wait((writing, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()

    def _show(self, snapshot: Snapshot) -> None:
        """Has the gauges show it."""
        duties = {duty.name: duty.is_ours for duty in (self._succession.watch, *self.duties)}
        own = self.ports.lanes()
        self.around.metrics.show(figures_of(snapshot, own, self.alerts(), duties))

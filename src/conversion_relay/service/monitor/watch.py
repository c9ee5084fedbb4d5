"""The flow monitor: looks every few seconds, keeps alerts, and tells of them.

What is wrong is the rules' to say, when that is an alert the life's; this is the loop around them.
It needs no healthy store: what cannot be written waits in memory, and what does not answer is
itself a finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.alerting.alert import Alert, News, Notification
from conversion_relay.service.logs import fault
from conversion_relay.service.metrics import Figures
from conversion_relay.service.monitor.books import Books
from conversion_relay.service.monitor.course import grown
from conversion_relay.service.monitor.figures import Snapshot
from conversion_relay.service.monitor.gathering import Gathering, Ports
from conversion_relay.service.monitor.heart import Heart, Orders
from conversion_relay.service.monitor.learning import Lessons
from conversion_relay.service.monitor.life import Told
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.monitor.records import alert_of
from conversion_relay.service.monitor.rules import RULES, Broken
from conversion_relay.service.monitor.view import Rule
from conversion_relay.service.surroundings import Surroundings

TICK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 3.0
_CLOSING_SECONDS: Final = 2.0
_TRIES: Final = 3
_MOST_ALERTS: Final = 500
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
        figures: the latest snapshot; None before the first.
    """

    ports: Ports
    notify: Callable[[Notification], None]
    around: Surroundings
    orders: Orders = field(default_factory=Orders)
    rules: Sequence[Rule] = RULES
    figures: Snapshot | None = None
    _books: Books = field(init=False)
    _gathering: Gathering = field(init=False)
    _heart: Heart | None = None
    _lesson: asyncio.Task[None] | None = None
    _tries_left: int = _TRIES
    _broken: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Prepares what is written and what is read."""
        self._books = Books(self.ports.store.history, self.around)
        self._gathering = Gathering(self.ports, self.around)

    def alerts(self) -> Sequence[Alert]:
        """Those that are open now, oldest first."""
        present = () if self._heart is None else self._heart.standing.open.values()
        numbered = (self._books.numbered(alert) for alert in present)
        return sorted(numbered, key=lambda alert: alert.opened_at)

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
        await self._resume()
        snapshot = await self._gathering.snapshot()
        before = self.figures.at if self.figures else self._heart.started_at
        self.figures = snapshot
        self._heart, told, broken = self._heart.then(snapshot, self.orders, self.rules)
        self._books.count(self._heart.lately, before + (snapshot.at - before) / 2)
        self._admit(broken)
        await self._tell(told, snapshot)
        self._show(snapshot)

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

    async def _resume(self) -> None:
        """Takes the alerts up that were open before the start, if they can be read in time."""
        if not self._tries_left or self._heart is None:
            return
        self._tries_left -= 1
        history = self.ports.store.history
        question = Question(lambda: history.alerts(_MOST_ALERTS), self.around.sleep)
        try:
            records = await question.answer(_ANSWER_SECONDS)
        except StoreError as error:
            question.drop()
            self.around.log.warning("monitor.not_resumed", reason=str(error))
            return
        self._tries_left = 0
        alerts = [alert_of(record) for record in records]
        self._heart = self._heart.resumed(alerts, self.around.clock())

    async def _tell(self, told: Sequence[Told], snapshot: Snapshot) -> None:
        """Writes down what there is to say, and says it, written or not."""
        for _, alert in told:
            self._books.keep(self._books.numbered(alert))
        writing = self._books.write()
        if told and writing is not None:
            await self._wait_for(writing)
        for news, alert in told:
            numbered = self._books.numbered(alert)
            self.notify(await self._notification(news, numbered, snapshot))

    async def _wait_for(self, writing: asyncio.Task[None]) -> None:
        """A moment: with it, what is said has a number."""
        alarm = asyncio.ensure_future(self.around.sleep(_ANSWER_SECONDS))
        try:
            await asyncio.wait((writing, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()

    async def _notification(self, news: News, alert: Alert, snapshot: Snapshot) -> Notification:
        name = alert.finding.destination
        if name is None or snapshot.waiting is None:
            return Notification(news, alert, snapshot.at)
        count = sum(one.count for one in snapshot.waiting if one.destination == name)
        worth: Mapping[str, int] = await self._worth(name) if count else {}
        return Notification(news, alert, snapshot.at, count, worth)

    async def _worth(self, destination: str) -> Mapping[str, int]:
        history = self.ports.store.history
        question = Question(lambda: history.waiting_value(destination), self.around.sleep)
        try:
            return await question.answer(_ANSWER_SECONDS)
        except StoreError:
            question.drop()
            return {}

    def _show(self, snapshot: Snapshot) -> None:
        """Has the gauges show it."""
        waiting = snapshot.waiting or ()
        ages: dict[str, float] = {}
        for one in waiting:
            if one.oldest is not None:
                age = (snapshot.at - one.oldest).total_seconds()
                ages[one.destination] = max(age, ages.get(one.destination, 0.0))
        lanes = snapshot.lanes.items()
        self.around.metrics.show(
            Figures(
                waiting={(one.destination, one.state.value): one.count for one in waiting},
                oldest_seconds=ages,
                sizes=snapshot.store.sizes,
                waiting_events=snapshot.store.waiting_events or 0,
                waiting_bytes=snapshot.store.waiting_bytes or 0,
                turns={name: lane.turned_at for name, lane in lanes if lane.turned_at},
                alerts=[
                    (alert.finding.rule, alert.finding.subject, alert.finding.severity.value)
                    for alert in self.alerts()
                ],
            )
        )

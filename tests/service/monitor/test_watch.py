"""The monitor around its rules: what it writes, what it says, and what cannot stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.alerting.alert import News, Notification, Severity
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.monitor.books import Books
from conversion_relay.service.monitor.figures import LaneFigures
from conversion_relay.service.monitor.gathering import Ports
from conversion_relay.service.monitor.learning import WATCHED
from conversion_relay.service.monitor.rules import RULES
from conversion_relay.service.monitor.view import Found, Rule, View
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.store.history import Waiting
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings
from service.monitor.examples import alert
from service.monitor.memory import Kept, Memory
from support.lines import Lines
from support.time import START, VirtualTime

TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
_TURNS_TO_A_STOP = 100


@dataclass
class Watch:
    """A monitor, and what is around it.

    Attributes:
        lanes: as they are.
        told: every notification.
    """

    time: VirtualTime = field(default_factory=VirtualTime)
    store: Kept = field(default_factory=Kept)
    log: Lines = field(default_factory=Lines)
    metrics: Metrics = field(default_factory=Metrics)
    lanes: dict[str, LaneFigures] = field(default_factory=dict)
    told: list[Notification] = field(default_factory=list)
    rules: Sequence[Rule] = RULES
    monitor: Monitor = field(init=False)

    def __post_init__(self) -> None:
        """Starts it."""
        around = Surroundings(self.time, lambda: 0.5, self.metrics, self.log, self.time.sleep)
        ports = Ports(
            cast("Store", self.store),
            lambda: self.lanes,
            lambda: frozenset({"shop"}),
            dict,
            lambda: None,
        )
        self.monitor = Monitor(ports, self.told.append, around, rules=self.rules)

    async def look(self, times: int = 1) -> None:
        """So many turns, five seconds apart."""
        for _ in range(times):
            self.time.turn(seconds=5)
            for name, one in self.lanes.items():
                self.lanes[name] = replace(one, turned_at=self.time.now)
            await self.ended(self.monitor.look())

    async def ended(self, work: Awaitable[None]) -> None:
        """Time passes until it has, as soon as nobody has anything else to do."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(_TURNS_TO_A_STOP):
                await asyncio.sleep(0)
            wake = self.time.next_wake()
            if wake is not None and not task.done():
                self.time.turn_to(wake)
        await task

    async def run_for(self, seconds: float) -> None:
        """So much time passes."""
        await self.ended(self.time.sleep(seconds))

    def restarted(self) -> Watch:
        """Another process over the same store."""
        return Watch(time=self.time, store=self.store, lanes=self.lanes)

    def news(self) -> list[tuple[News, str]]:
        """What was said, of which rule."""
        return [(one.news, one.alert.finding.rule) for one in self.told]


HELD = LaneFigures(Condition.HELD, START, "code 40105")
FLOWS = LaneFigures(Condition.FLOWING)


def _waiting(count: int) -> list[Waiting]:
    return [Waiting("tiktok", State.HELD, count, START - MINUTE)]


async def test_an_alert_is_kept_and_told_with_what_waits_and_its_worth() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    watch.store.history.waits = _waiting(12)
    await watch.look(3)
    (told,) = watch.told
    assert (told.news, told.waiting, told.value_micros) == (
        News.OPENED,
        12,
        {"EUR": 59_900_000},
    )
    assert told.alert.id == 1
    (record,) = watch.store.history.records.values()
    assert (record.rule, record.subject, record.severity) == ("lane_held", "tiktok", "critical")
    assert record.facts["since"] == START.isoformat()
    assert watch.monitor.alerts() == [replace(told.alert, finding=told.alert.finding)]


async def test_its_end_is_kept_and_told_too() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    await watch.look(2)
    watch.lanes["tiktok"] = FLOWS
    await watch.look(14)
    assert watch.news() == [(News.OPENED, "lane_held"), (News.RESOLVED, "lane_held")]
    (record,) = watch.store.history.records.values()
    assert record.resolved_at == watch.told[-1].at
    assert watch.monitor.alerts() == []


async def test_after_a_restart_the_same_alert_goes_on() -> None:
    before = Watch(lanes={"tiktok": HELD})
    await before.look(2)
    after = before.restarted()
    await after.look(3)
    assert after.told == []
    (alert,) = after.monitor.alerts()
    assert (alert.id, alert.opened_at) == (1, before.told[0].at)
    assert alert.finding.since == START
    after.lanes["tiktok"] = FLOWS
    await after.look(30)
    assert after.news() == [(News.RESOLVED, "lane_held")]
    (record,) = after.store.history.records.values()
    assert record.resolved_at is not None


async def test_it_goes_on_without_those_of_before_if_they_cannot_be_read() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    watch.store.history.hangs.add("alerts")
    await watch.look(5)
    assert watch.news() == [(News.OPENED, "lane_held")]
    assert watch.log.events.count("monitor.not_resumed") == 3


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_store_that_cannot_be_read_stops_no_other_rule(how: str) -> None:
    watch = Watch()
    getattr(watch.store.history, how).update({"waiting", "sizes", "flow", "waiting_value"})
    await watch.look(3)
    watch.lanes["tiktok"] = HELD
    await watch.look(6)
    assert set(watch.news()) == {(News.OPENED, "store_unreadable"), (News.OPENED, "lane_held")}
    assert watch.monitor.figures is not None
    assert watch.monitor.figures.waiting is None


async def test_a_worth_that_takes_too_long_is_left_out() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    watch.store.history.waits = _waiting(12)
    watch.store.history.hangs.add("waiting_value")
    await watch.look()
    (told,) = watch.told
    assert (told.waiting, told.value_micros) == (12, {})


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_what_cannot_be_written_is_told_all_the_same(how: str) -> None:
    watch = Watch(lanes={"tiktok": HELD})
    troubles: set[str] = getattr(watch.store.history, how)
    troubles |= {"keep_alert", "add_flow"}
    watch.store.reason = "disk is full"
    await watch.look(20)
    assert set(watch.news()) == {(News.OPENED, "lane_held"), (News.OPENED, "store_failing")}
    assert all(one.alert.id == 0 for one in watch.told)
    assert watch.log.events.count("monitor.not_kept") == (how == "fails")


async def test_it_is_written_once_that_is_possible() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    history = watch.store.history
    history.fails = {"keep_alert", "add_flow"}
    for _ in range(40):
        watch.metrics.received.labels("shop", "planned").inc()
        await watch.look()
    assert not history.counted
    history.fails.clear()
    for _ in range(14):
        watch.metrics.received.labels("shop", "planned").inc()
        await watch.look()
    assert [one.rule for one in history.records.values()] == ["lane_held"]
    assert 40 <= _total(history, "events_kept") < 54
    (alert,) = watch.monitor.alerts()
    assert alert.id == 1


def _total(history: Memory, measure: str) -> int:
    return sum(count for (_, name, _), count in history.counted.items() if name == measure)


async def test_counts_are_kept_by_the_minute_and_the_rest_at_the_end() -> None:
    watch = Watch()
    running = asyncio.create_task(watch.monitor.run())
    counter = watch.metrics.received.labels("shop", "planned")
    for _ in range(150):
        counter.inc(2)
        await watch.run_for(1.0)
    history = watch.store.history
    assert _total(history, "events_kept") == 240  # of two whole minutes
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    counter.inc(1)  # by what was still on its way
    await watch.monitor.close()
    assert _total(history, "events_kept") == 301
    watched = {minute for minute, name, _ in history.counted if name == WATCHED}
    assert watched == {START, START + MINUTE, START + 2 * MINUTE}
    assert {labels for _, name, labels in history.counted if name == "events_kept"} == {
        ("shop", "planned")
    }


async def test_it_has_learnt_from_before_the_start_who_is_silent_now() -> None:
    before = Watch()
    for _ in range(60):
        before.metrics.received.labels("shop", "planned").inc()
        await before.look()
    after = before.restarted()
    await after.look(12)
    assert after.news() == [(News.OPENED, "silence")]
    assert after.told[0].alert.finding.subject == "shop"


async def test_nobody_is_called_silent_before_the_past_could_be_read() -> None:
    before = Watch()
    for _ in range(60):
        before.metrics.received.labels("shop", "planned").inc()
        await before.look()
    after = before.restarted()
    after.store.history.fails.add("flow")
    await after.look(24)
    assert after.told == []
    assert "monitor.not_learnt" in after.log.events
    after.store.history.fails.clear()
    await after.look(2)
    assert after.news() == [(News.OPENED, "silence")]


async def test_what_is_shown_is_what_was_seen() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    watch.store.history.waits = _waiting(12)
    await watch.look(2)
    shown = watch.metrics.exposition().decode()
    for line in (
        'relay_deliveries_waiting{destination="tiktok",state="held"} 12.0',
        'relay_oldest_waiting_seconds{destination="tiktok"} 70.0',
        'relay_alerts_open{rule="lane_held",severity="critical",subject="tiktok"} 1.0',
        "relay_store_waiting_events 3.0",
        "relay_disk_free_bytes 600.0",
    ):
        assert line in shown


def _breaks(_: View) -> Iterator[Found]:
    raise ZeroDivisionError


async def test_a_broken_rule_is_logged_once_and_told_of() -> None:
    broken = Rule("broken", Severity.WARNING, _breaks, timedelta(), "always", "Mend it.")
    watch = Watch(lanes={"tiktok": HELD}, rules=(broken, *RULES))
    await watch.look(4)
    assert watch.log.events.count("monitor.rule_failed") == 1
    assert set(watch.news()) == {(News.OPENED, "lane_held"), (News.OPENED, "monitor_broken")}


async def test_a_turn_that_fails_is_followed_by_the_next() -> None:
    watch = Watch(lanes={"tiktok": HELD})
    lanes, watch.lanes = watch.lanes, cast("dict[str, LaneFigures]", None)
    running = asyncio.create_task(watch.monitor.run())
    await watch.run_for(12.0)
    assert watch.log.events.count("monitor.failed") == 3
    watch.lanes = lanes
    await watch.run_for(12.0)
    assert (News.OPENED, "lane_held") in watch.news()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_what_cannot_be_written_for_days_does_not_fill_the_memory() -> None:
    watch = Watch()
    around = Surroundings(watch.time, lambda: 0.5, watch.metrics, watch.log)
    books = Books(watch.store.history, around, most_counts=20)
    for number in range(50):
        at = START + number * MINUTE
        books.count({("events_kept", ("shop", "planned")): 1.0}, at)
    await books.close(1.0)
    assert len(watch.store.history.counted) == 20
    assert "monitor.counts_lost" in watch.log.events
    assert min(minute for minute, _, _ in watch.store.history.counted) == START + 40 * MINUTE


async def test_what_another_node_has_by_now_is_not_written_over() -> None:
    watch = Watch()
    books = Books(
        watch.store.history, Surroundings(watch.time, lambda: 0.5, watch.metrics, watch.log)
    )
    kept, new = replace(alert("silence", "shop"), id=3), alert("silence", "app")
    books.keep(kept)
    books.keep(new)
    books.hand_over()
    await books.close(1.0)
    books.write()
    await books.close(1.0)
    assert [one.subject for one in watch.store.history.records.values()] == ["app"]

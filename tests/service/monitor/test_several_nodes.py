"""Several nodes over one database: one judges for all, over the counts of all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from conversion_relay.core.lane import Condition
from conversion_relay.service.alerting.alert import News
from conversion_relay.service.monitor.figures import LaneFigures, SpoolFigures
from conversion_relay.service.monitor.learning import WATCHED
from conversion_relay.service.store.history import Strain
from service.monitor.nodes import Nodes
from support.time import START

SECOND = timedelta(seconds=1)
TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
HELD_SHOWN = 'relay_alerts_open{rule="lane_held",severity="critical",subject="tiktok"} 1.0'
WITHIN = timedelta(seconds=20)
"""The duty to judge changes hands."""


@asynccontextmanager
async def _three() -> AsyncIterator[Nodes]:
    nodes = Nodes()
    nodes.add("a", "b", "c")
    await nodes.run_for(10 * SECOND)
    assert nodes.watcher == "a"
    try:
        yield nodes
    finally:
        await nodes.end()


def _hold(nodes: Nodes, condition: Condition = Condition.HELD) -> None:
    """The lane, which all of them see alike."""
    for node in nodes.nodes.values():
        node.lanes["tiktok"] = LaneFigures(condition, START, "code 40105", nodes.now)


async def _traffic(nodes: Nodes, length: timedelta, *names: str) -> None:
    """An order every five seconds, at one node after the other."""
    end, turn = nodes.now + length, 0
    while nodes.now < end:
        nodes.nodes[names[turn % len(names)]].receive()
        turn += 1
        await nodes.run_for(TICK)


async def test_what_fails_on_one_node_is_told_once_by_the_one_that_watches() -> None:
    async with _three() as nodes:
        for _ in range(8):
            nodes.nodes["b"].ask_tiktok("unknown")
            await nodes.run_for(TICK)
        assert nodes.told() == [("a", News.OPENED, "delivery_failing", "tiktok")]
        (record,) = nodes.shared.records.values()
        assert (record.rule, record.resolved_at) == ("delivery_failing", None)


async def test_requests_that_fail_here_and_are_accepted_there_are_judged_together() -> None:
    async with _three() as nodes:
        for _ in range(8):
            nodes.nodes["a"].ask_tiktok("unknown")
            for _ in range(3):
                nodes.nodes["c"].ask_tiktok("accepted")
            await nodes.run_for(TICK)
        assert nodes.told() == []


async def test_what_another_node_gave_up_is_known() -> None:
    async with _three() as nodes:
        for _ in range(6):
            nodes.nodes["c"].give_up()
        await nodes.run_for(3 * TICK)
        assert nodes.told() == [("a", News.OPENED, "dead_letters", "tiktok")]


async def test_a_source_is_silent_once_no_node_hears_it() -> None:
    async with _three() as nodes:
        for name in ("a", "b", "c", "b"):  # each alone hears nothing for minutes
            await _traffic(nodes, 3 * MINUTE, name)
        assert nodes.told() == []
        await nodes.run_for(MINUTE)
        assert nodes.told() == [("a", News.OPENED, "silence", "shop")]
        await _traffic(nodes, 2 * MINUTE, "c")
        assert nodes.said("silence")[1:] == [("a", News.RESOLVED)]


async def test_another_node_takes_the_duty_over_within_seconds() -> None:
    async with _three() as nodes:
        _hold(nodes)
        await nodes.run_for(2 * TICK)
        assert nodes.told() == [("a", News.OPENED, "lane_held", "tiktok")]
        await nodes.nodes["a"].kill()
        await nodes.run_for(WITHIN)
        successor = str(nodes.watcher)
        assert successor in {"b", "c"}
        assert nodes.nodes[successor].shows('relay_duty{duty="watch"} 1.0')
        await nodes.run_for(5 * MINUTE)
        assert nodes.said("lane_held") == [("a", News.OPENED)]  # and not once more
        assert nodes.said("node_lost") == [(successor, News.OPENED)]
        _hold(nodes, Condition.FLOWING)
        await nodes.run_for(90 * SECOND)
        assert nodes.said("lane_held") == [("a", News.OPENED), (successor, News.RESOLVED)]
        rows = [one for one in nodes.shared.records.values() if one.rule == "lane_held"]
        assert [one.resolved_at is None for one in rows] == [False]


async def test_a_node_that_leaves_gives_the_duty_back_and_is_not_missed() -> None:
    async with _three() as nodes:
        await nodes.nodes["a"].leave()
        await nodes.run_for(2 * TICK)
        assert nodes.watcher in {"b", "c"}
        await nodes.run_for(2 * MINUTE)
        assert nodes.told() == []


async def test_what_was_counted_stays_counted_when_a_node_is_gone() -> None:
    async with _three() as nodes:
        await _traffic(nodes, 5 * MINUTE, "b")
        await nodes.nodes["b"].leave()  # its row goes with it
        nodes.add("d")
        await _traffic(nodes, 5 * MINUTE, "d")
        assert nodes.told() == []
        await nodes.run_for(MINUTE)
        assert nodes.told() == [("a", News.OPENED, "silence", "shop")]


async def test_who_takes_over_knows_the_hours_before() -> None:
    async with _three() as nodes:
        await _traffic(nodes, 5 * MINUTE, "c")
        await nodes.nodes["a"].kill()
        await nodes.run_for(75 * SECOND)  # as the watcher would have: 45 seconds and a look
        assert [news for _, news in nodes.said("silence")] == [News.OPENED]
        assert nodes.said("silence")[0][0] == nodes.watcher


async def test_a_watcher_that_was_stopped_for_a_while_says_nothing_twice() -> None:
    async with _three() as nodes:
        nodes.nodes["a"].pause()
        await nodes.run_for(4 * TICK)
        for _ in range(8):
            nodes.nodes["b"].ask_tiktok("unknown")
            await nodes.run_for(TICK)
        nodes.nodes["a"].go_on()
        await nodes.run_for(2 * MINUTE)
        said = nodes.said("delivery_failing")
        assert [news for _, news in said] == [News.OPENED, News.RESOLVED]
        assert {name for name, _ in said} == {nodes.watcher} != {"a"}


async def test_what_is_over_meanwhile_is_over_for_who_was_stopped() -> None:
    async with _three() as nodes:
        _hold(nodes)
        await nodes.run_for(2 * TICK)
        nodes.nodes["a"].pause()
        await nodes.run_for(4 * TICK)
        _hold(nodes, Condition.FLOWING)
        await nodes.run_for(4 * MINUTE)
        assert [news for _, news in nodes.said("lane_held")] == [News.OPENED, News.RESOLVED]
        nodes.nodes["a"].go_on()
        await nodes.run_for(2 * TICK)
        known = {alert.finding.rule for alert in nodes.nodes["a"].monitor.alerts()}
        assert known == {"node_lost"}  # itself, until its successor has seen it for a minute
        assert not nodes.nodes["a"].shows(HELD_SHOWN)


async def test_what_is_over_is_not_taken_up_again_because_its_end_could_not_be_kept() -> None:
    async with _three() as nodes:
        _hold(nodes)
        await nodes.run_for(2 * TICK)
        nodes.nodes["a"].store.history.fails.add("keep_alert")
        _hold(nodes, Condition.FLOWING)
        await nodes.run_for(6 * MINUTE)
        assert nodes.said("lane_held") == [("a", News.OPENED), ("a", News.RESOLVED)]
        nodes.nodes["a"].reach()
        await nodes.run_for(2 * TICK)
        assert all(one.resolved_at for one in nodes.shared.records.values())


async def test_a_watcher_that_is_cut_off_gives_way_and_speaks_for_itself() -> None:
    async with _three() as nodes:
        nodes.nodes["a"].cut_off()
        await nodes.run_for(WITHIN)
        assert nodes.watcher in {"b", "c"}
        for _ in range(8):
            nodes.nodes["a"].ask_tiktok("unknown")
            nodes.nodes["b"].ask_tiktok("unknown")
            await nodes.run_for(TICK)
        assert {name for name, _ in nodes.said("delivery_failing")} == {nodes.watcher}
        assert nodes.said("node_cut_off") == [("a", News.OPENED)]
        assert nodes.said("node_lost") == [(nodes.watcher, News.OPENED)]
        nodes.nodes["a"].reach()
        await nodes.run_for(3 * MINUTE)
        assert nodes.said("node_cut_off") == [("a", News.OPENED), ("a", News.RESOLVED)]
        assert [news for _, news in nodes.said("node_lost")] == [News.OPENED, News.RESOLVED]
        assert all(one.resolved_at for one in nodes.shared.records.values())


async def test_a_database_that_is_down_is_known_within_a_minute_by_every_node() -> None:
    async with _three() as nodes:
        began = nodes.now
        for node in nodes.nodes.values():
            node.cut_off()
        await nodes.run_for(MINUTE)
        opened = [one for one in nodes.told() if one[1] is News.OPENED]
        assert {
            (name, subject) for name, _, rule, subject in opened if rule == "node_cut_off"
        } == {
            ("a", "a"),
            ("b", "b"),
            ("c", "c"),
        }
        about = [(rule, subject) for _, _, rule, subject in opened]
        assert len(about) == len(set(about))
        await nodes.run_for(5 * MINUTE)
        assert [one for one in nodes.told() if one[1] is News.OPENED] == opened
        for node in nodes.nodes.values():
            node.reach()
        await nodes.run_for(4 * MINUTE)
        over = [
            (rule, subject) for _, news, rule, subject in nodes.told() if news is News.RESOLVED
        ]
        assert sorted(over) == sorted(about)
        assert all(one.resolved_at for one in nodes.shared.records.values())
        assert min(one.opened_at for one in nodes.shared.records.values()) - began < MINUTE


async def test_nobody_is_called_silent_because_the_database_was_away() -> None:
    async with _three() as nodes:
        await _traffic(nodes, 5 * MINUTE, "c")
        for node in nodes.nodes.values():
            node.cut_off()
        await _traffic(nodes, 3 * MINUTE, "c")
        nodes.nodes["a"].reach()
        await _traffic(nodes, 4 * TICK, "c")
        nodes.nodes["c"].reach()
        await _traffic(nodes, 2 * MINUTE, "c")
        assert not nodes.said("silence")


async def test_what_the_watcher_said_without_the_database_is_ended_by_its_successor() -> None:
    async with _three() as nodes:
        for node in nodes.nodes.values():
            node.cut_off()
        nodes.nodes["a"].store.reason = "connection refused"
        await nodes.run_for(2 * MINUTE)
        assert nodes.said("store_failing") == [("a", News.OPENED)]
        for name in ("b", "c"):
            nodes.nodes[name].reach()
        await nodes.run_for(2 * TICK)
        nodes.nodes["a"].reach()
        await nodes.run_for(5 * MINUTE)
        assert nodes.said("store_failing") == [("a", News.OPENED), (nodes.watcher, News.RESOLVED)]
        assert nodes.watcher != "a"


async def test_counts_are_written_once_whoever_counts() -> None:
    async with _three() as nodes:
        await _traffic(nodes, 5 * MINUTE, "a", "b", "c")
        for name in ("a", "b", "c"):
            await nodes.nodes[name].leave()
        counted = nodes.shared.counted
        assert sum(count for (_, name, _), count in counted.items() if name == "events_kept") == 60
        watched = {minute for minute, name, _ in counted if name == WATCHED}
        assert watched == {START + number * MINUTE for number in range(6)}
        nodes.add("d")  # the minutes of three nodes teach as those of one
        await nodes.run_for(75 * SECOND)
        assert nodes.said("silence") == [("d", News.OPENED)]


async def test_every_node_shows_what_one_of_them_knows() -> None:
    async with _three() as nodes:
        _hold(nodes)
        await nodes.run_for(4 * TICK)
        for node in nodes.nodes.values():
            assert node.shows(HELD_SHOWN)
            assert node.shows('relay_nodes{role="all"} 3.0')
            assert [one.finding.rule for one in node.monitor.alerts()] == ["lane_held"]
            assert node.monitor.canaries()["tiktok"].reason == "a"
        watching = [node.shows('relay_duty{duty="watch"} 1.0') for node in nodes.nodes.values()]
        assert watching == [True, False, False]


async def test_canaries_are_sent_by_one_node_that_can() -> None:
    async with _three() as nodes:
        nodes.nodes["a"].sends_canaries = False
        await nodes.run_for(5 * TICK)
        assert nodes.watcher == "a"
        sender = nodes.nodes["a"].monitor.canaries()["tiktok"].reason
        assert sender in {"b", "c"}
        shown = {node.monitor.canaries()["tiktok"].reason for node in nodes.nodes.values()}
        assert shown == {sender}


async def test_a_worker_that_is_stuck_on_another_node_is_known() -> None:
    async with _three() as nodes:
        nodes.nodes["b"].delivers = False
        await nodes.run_for(MINUTE)
        assert nodes.told() == [("a", News.OPENED, "worker_stuck", "tiktok")]


async def test_events_that_no_node_delivers_are_missed() -> None:
    nodes = Nodes()
    nodes.add("a", lanes=False)
    nodes.add("b")
    await nodes.run_for(2 * MINUTE)
    assert nodes.told() == []
    await nodes.nodes["b"].leave()
    await nodes.run_for(25 * SECOND)
    assert nodes.told() == []
    await nodes.run_for(30 * SECOND)
    assert nodes.told() == [("a", News.OPENED, "worker_stuck", "tiktok")]
    await nodes.end()


@pytest.mark.parametrize(
    ("rule", "subject", "wait"),
    [("spool_waiting", "c", MINUTE), ("configurations_differ", "service", 4 * MINUTE)],
)
async def test_what_another_node_says_of_itself_is_judged(
    rule: str, subject: str, wait: timedelta
) -> None:
    async with _three() as nodes:
        if rule == "spool_waiting":
            nodes.nodes["c"].spool = SpoolFigures(7, 700, 3 * MINUTE)
        else:
            nodes.nodes["c"].configuration = "another"
        await nodes.run_for(wait)
        assert nodes.told() == [("a", News.OPENED, rule, subject)]


async def test_an_old_transaction_is_told_and_shown() -> None:
    async with _three() as nodes:
        for node in nodes.nodes.values():
            node.store.history.worn = Strain(6 * MINUTE, "a transaction of “psql” (idle)")
        await nodes.run_for(2 * TICK)
        assert nodes.told() == [("a", News.OPENED, "old_transaction", "service")]
        assert nodes.nodes["b"].shows("relay_database_oldest_transaction_seconds 360.0")


async def test_a_node_that_comes_back_under_its_name_is_missed_no_more() -> None:
    async with _three() as nodes:
        await nodes.nodes["c"].kill()
        await nodes.run_for(30 * SECOND)
        assert nodes.said("node_lost") == [("a", News.OPENED)]
        nodes.add("d")  # or another in its place
        await nodes.run_for(2 * MINUTE)
        assert nodes.said("node_lost") == [("a", News.OPENED), ("a", News.RESOLVED)]

"""One lane for several nodes: what the partner sees of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import (
    Accepted,
    CredentialProblem,
    Deferred,
    Outcome,
    Throttled,
    Unknown,
)
from conversion_relay.core.lane import Condition, Go, Lane, LanePolicy, Permit, Probe, Wait
from conversion_relay.errors import StoreError
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.cluster import Topic
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings
from support.cluster import Commons, FakeCluster
from support.lines import Lines
from support.time import START, VirtualTime, Work, drive

GOOD, GONE, SLOW = Accepted(), Unknown("gone"), Throttled("slow")
DENIED, DOWN = CredentialProblem("revoked"), Deferred("502")
SECOND = timedelta(seconds=1)
Partner = Callable[[str], Outcome]
"""What it answers to a credential now."""


@dataclass
class Released:
    """A store of which only `release` is asked.

    Attributes:
        times: how often it was.
    """

    cluster: FakeCluster
    times: int = 0

    async def release(self, *_: object) -> int:
        """Counts."""
        self.times += 1
        return 0


@dataclass
class Node:
    """A node with its keeper.

    Attributes:
        sent: when requests began, by the true clock, and as what.
    """

    keeper: LaneKeeper
    cluster: FakeCluster
    store: Released
    log: Lines
    sent: list[tuple[datetime, Permit]] = field(default_factory=list)

    @property
    def condition(self) -> Condition:
        """As this node sees it."""
        return self.keeper.lane.condition


@dataclass
class Nodes:
    """Some of them over one database."""

    policy: LanePolicy = field(default_factory=LanePolicy)
    time: VirtualTime = field(default_factory=VirtualTime)
    work: Work = field(default_factory=Work)
    answer_seconds: float = 0.15
    all: list[Node] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """With an empty database."""
        self.commons = Commons(self.time)

    def add(self, credential: str = "token", skew: float = 0.0) -> Node:
        """A node whose clock is ahead by so many seconds."""
        name = f"node-{len(self.all)}"
        cluster, log = FakeCluster(self.commons, name), Lines()
        store, dice = Released(cluster), Random(name)  # noqa: S311 - a seeded test
        around = Surroundings(
            lambda: self.time.now + timedelta(seconds=skew),
            dice.random,
            Metrics(),
            log,
            self.time.sleep,
        )
        keeper = LaneKeeper("tiktok", credential, "", cast("Store", store), self.policy, around)
        cluster.hear(Topic.LANES, keeper.heard)
        self.all.append(Node(keeper, cluster, store, log))
        return self.all[-1]

    @property
    def sent(self) -> list[tuple[datetime, Permit]]:
        """By all, in order."""
        return sorted((one for node in self.all for one in node.sent), key=lambda one: one[0])

    @property
    def shared(self) -> Lane:
        """As the database has it."""
        return self.commons.lanes["tiktok"].lane

    async def run(self, partner: Partner, **length: float) -> None:
        """Every node sends whenever it may, for so long."""
        until = self.time.now + timedelta(**length)
        loops = [asyncio.create_task(self._send(node, partner, until)) for node in self.all]
        alarm = asyncio.create_task(self.time.sleep(timedelta(**length).total_seconds()))
        everything = asyncio.gather(alarm, *loops)
        await drive(self.time, self.work, everything.done)
        await everything

    async def _send(self, node: Node, partner: Partner, until: datetime) -> None:
        begun = False
        while self.time.now < until:
            try:
                if not begun:
                    await node.keeper.begin()
                begun = True
                permit = await node.keeper.take()
            except StoreError:
                await self.time.sleep(1)
                continue
            if isinstance(permit, Wait):
                wait = (permit.until - node.keeper.around.clock()).total_seconds()
                late = node.keeper.around.jitter() / 100  # no machine wakes to the microsecond
                await self.time.sleep(min(5.0, wait) + late)
                await self._look(node)
                continue
            node.keeper.sent()
            node.sent.append((self.time.now, permit))
            task = asyncio.create_task(self._answered(node, permit, partner))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _look(self, node: Node) -> None:
        with suppress(StoreError):
            await node.keeper.look()

    async def _answered(self, node: Node, permit: Permit, partner: Partner) -> None:
        credential, sent_at = node.keeper.credential, node.keeper.around.clock()
        outcome = partner(credential)
        await self.time.sleep(self.answer_seconds)
        size = permit.most if isinstance(permit, Go) else 1
        await node.keeper.answered([outcome] * size, credential, sent_at)


def gaps(sent: list[tuple[datetime, Permit]]) -> list[float]:
    """Seconds between each and the next."""
    times = [at for at, _ in sent]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


def most_within(sent: list[tuple[datetime, Permit]], length: timedelta) -> int:
    """The most of them in any time of this length."""
    times = [at for at, _ in sent]
    return max(sum(start <= at < start + length for at in times) for start in times)


async def test_three_nodes_send_no_more_than_one_lane_allows() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=10))
    nodes.commons.delay = 0.01
    for skew in (-0.3, 0.0, 0.3):
        nodes.add(skew=skew)
    await nodes.run(lambda _: GOOD, seconds=20)
    assert 180 <= len(nodes.sent) <= 201
    assert most_within(nodes.sent, SECOND) <= 11


@pytest.mark.parametrize("skew", [0.0, 0.3, 2.0])
async def test_an_open_lane_is_probed_by_one_at_a_time(skew: float) -> None:
    nodes = Nodes()
    nodes.commons.delay = 0.01
    for number in range(3):
        nodes.add(skew=skew * (number - 1))
    await nodes.run(lambda _: DOWN, minutes=10)
    assert {node.condition for node in nodes.all} == {Condition.OPEN}
    opened = [at for at, permit in nodes.sent if at > START + 30 * SECOND]
    assert 30 <= len(opened) <= 57, "as one node would: every 10 to 20 seconds"
    assert min(gaps([(at, Probe()) for at in opened])) >= 9.9
    assert all(isinstance(permit, Probe) for at, permit in nodes.sent if at in opened)


async def test_probes_that_hang_are_no_reason_for_more() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=5), answer_seconds=20.0)
    for _ in range(3):
        nodes.add()
    await nodes.run(lambda _: GONE, minutes=10)
    late = [one for one in nodes.sent if one[0] > START + timedelta(minutes=1)]
    assert min(gaps(late)) >= 9.9


async def test_all_see_it_open_within_a_turn() -> None:
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    await other.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    assert isinstance(await other.keeper.look(), Wait)
    assert other.condition is Condition.OPEN
    assert "lane.open" in first.log.events
    assert "lane.open" in other.log.events
    shown = other.keeper.around.metrics.exposition().decode()
    assert 'relay_lane_condition{condition="open",destination="tiktok"} 1.0' in shown


async def test_one_that_hears_nothing_sees_it_within_a_second() -> None:
    nodes = Nodes()
    first, deaf = nodes.add(), nodes.add()
    deaf.cluster.is_deaf = True
    await deaf.keeper.begin()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    assert deaf.keeper.permit() == Go(1000)
    nodes.time.turn(seconds=1)
    assert isinstance(await deaf.keeper.look(), Wait)


async def test_what_one_believes_too_long_costs_no_batch_too_much() -> None:
    nodes = Nodes()
    first, deaf = nodes.add(), nodes.add()
    deaf.cluster.is_deaf = True
    await deaf.keeper.begin()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    assert isinstance(await deaf.keeper.take(), Wait), "it lost, read again and decided again"


async def test_throttling_halves_once() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=90))
    for _ in range(3):
        nodes.add()
    await nodes.run(lambda _: GOOD, seconds=3)
    rate = max(nodes.shared.last_rate, float(nodes.shared.count))
    assert rate > 60
    sent_at = nodes.time.now
    for node in nodes.all:
        await node.keeper.answered([SLOW], "token", sent_at)
    assert nodes.shared.condition is Condition.THROTTLED
    assert nodes.shared.per_second == pytest.approx(rate / 2, rel=0.1)


async def test_sizes_grow_once_for_all() -> None:
    """After an outage the nodes together grow as one would."""
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    await first.keeper.answered([GOOD], "token", nodes.time.now)
    await other.keeper.begin()
    nodes.time.turn(seconds=1)
    assert await other.keeper.take() == Go(8)
    other.keeper.sent()
    nodes.time.turn(seconds=1)
    await other.keeper.answered([GOOD] * 8, "token", nodes.time.now)
    assert await first.keeper.take() == Go(64)


async def test_a_turn_that_nobody_needed_is_given_back() -> None:
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    nodes.time.turn(seconds=20)
    await other.keeper.begin()
    assert await first.keeper.take() == Probe()
    assert isinstance(await other.keeper.take(), Wait)
    await first.keeper.give_back()
    assert await other.keeper.take() == Probe()
    await first.keeper.give_back()
    assert isinstance(await first.keeper.take(), Wait), "that turn was not its own to give back"


async def test_what_others_learnt_meanwhile_is_not_given_back() -> None:
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    await other.keeper.begin()
    nodes.time.turn(seconds=20)
    assert await first.keeper.take() == Probe()
    await other.keeper.answered([GOOD], "token", nodes.time.now)
    await first.keeper.look()
    await first.keeper.give_back()
    assert nodes.shared.condition is Condition.FLOWING


async def test_a_used_turn_is_not_given_back() -> None:
    nodes = Nodes()
    node = nodes.add()
    await node.keeper.begin()
    for _ in range(5):
        await node.keeper.answered([GONE], "token", nodes.time.now)
    nodes.time.turn(seconds=20)
    await node.keeper.take()
    node.keeper.sent()
    await node.keeper.give_back()
    assert isinstance(await node.keeper.take(), Wait)


async def test_a_batch_costs_one_statement_alone_and_two_beside_others() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=20))
    nodes.add()
    await nodes.run(lambda _: GOOD, seconds=10)
    calls, count = sum(nodes.commons.calls.values()), len(nodes.sent)
    assert count > 150
    assert calls <= 1.1 * count, nodes.commons.calls
    nodes.add()
    nodes.commons.calls.clear()
    await nodes.run(lambda _: GOOD, seconds=10)
    calls, count = sum(nodes.commons.calls.values()), len(nodes.sent) - count
    assert calls <= 3.2 * count, nodes.commons.calls


async def test_a_database_that_does_not_answer_is_told_before_anything_is_claimed() -> None:
    nodes = Nodes()
    node = nodes.add()
    await node.keeper.begin()
    node.cluster.is_cut_off = True
    with pytest.raises(StoreError):
        await node.keeper.take()


async def test_what_could_not_be_shared_is_shared_with_the_next_turn() -> None:
    nodes = Nodes()
    node, other = nodes.add(), nodes.add()
    await node.keeper.begin()
    node.cluster.is_cut_off = True
    for _ in range(5):
        await node.keeper.answered([GONE], "token", nodes.time.now)
    assert node.condition is Condition.OPEN, "it keeps to that itself"
    assert node.log.events.count("lane.not_kept") == 5
    assert "tiktok" not in nodes.commons.lanes
    node.cluster.is_cut_off = False
    nodes.time.turn(seconds=20)
    assert await node.keeper.take() == Probe()
    await other.keeper.begin()
    assert other.condition is Condition.OPEN


async def test_those_who_waited_for_one_that_failed_do_not_try_too() -> None:
    nodes = Nodes()
    node = nodes.add()
    await node.keeper.begin()
    nodes.commons.delay = 1.0
    answers = [
        asyncio.create_task(node.keeper.answered([GONE], "token", nodes.time.now))
        for _ in range(4)
    ]
    await nodes.work.rest()
    node.cluster.is_cut_off = True
    await drive(nodes.time, nodes.work, lambda: all(answer.done() for answer in answers))
    assert node.log.events.count("lane.not_kept") == 1
    assert node.keeper.lane.failures == 4


async def test_an_operator_resumes_it_from_any_node() -> None:
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    await first.keeper.answered([DENIED], "token", nodes.time.now)
    await other.keeper.begin()
    assert isinstance(await first.keeper.take(), Wait)
    await other.keeper.resume()
    assert await first.keeper.take() == Probe()
    assert isinstance(await other.keeper.take(), Wait), "one probe, whoever asked for it"


async def test_what_was_held_goes_on_at_every_node() -> None:
    """One may have put something into a lane that flowed again without its knowing."""
    nodes = Nodes()
    first, other = nodes.add(), nodes.add()
    await first.keeper.begin()
    await other.keeper.begin()
    await first.keeper.answered([DENIED], "token", nodes.time.now)
    await other.keeper.look()
    assert other.condition is Condition.HELD
    times = [node.store.times for node in nodes.all]
    nodes.time.turn(seconds=20)
    await first.keeper.take()
    first.keeper.sent()
    await first.keeper.answered([GOOD], "token", nodes.time.now)
    await other.keeper.look()
    assert [node.store.times for node in nodes.all] == [count + 1 for count in times]


async def test_a_node_more_is_no_probe_more() -> None:
    nodes = Nodes()
    first = nodes.add()
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    late = nodes.add()
    await late.keeper.begin()
    assert isinstance(await late.keeper.take(), Wait)


class Credentials:
    """Which of them the partner accepts."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = accepted

    def __call__(self, credential: str) -> Outcome:
        """Accepted, or refused."""
        return GOOD if credential in self.accepted else DENIED


async def test_two_credentials_do_not_fight() -> None:
    """During a rolling change, both accepted: the lane changes hands once."""
    nodes = Nodes(LanePolicy(requests_per_second=5))
    old = nodes.add("old")
    await nodes.run(Credentials("old", "new"), seconds=5)
    new = nodes.add("new")
    await nodes.run(Credentials("old", "new"), seconds=20)
    assert nodes.commons.lanes["tiktok"].credential == new.keeper.fingerprint
    assert {node.condition for node in nodes.all} == {Condition.FLOWING}
    assert [line for line in old.log.events if line.startswith("lane.")] == []
    assert all(len(node.sent) > 10 for node in nodes.all)
    assert most_within(nodes.sent, SECOND) <= 6


async def test_the_old_credential_is_revoked_while_the_change_rolls() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=5))
    old, new = nodes.add("old"), nodes.add("new")
    await nodes.run(Credentials("new"), minutes=3)
    assert {node.condition for node in nodes.all} == {Condition.FLOWING}
    assert len(new.sent) > 800, "the new one goes on"
    assert len(old.sent) <= 12, "the old one is tried now and then"
    assert nodes.commons.lanes["tiktok"].credential == new.keeper.fingerprint
    await old.keeper.renew("new")
    before = len(old.sent)
    await nodes.run(Credentials("new"), seconds=10)
    assert len(old.sent) > before + 15


async def test_a_node_that_starts_with_a_wrong_credential_does_not_stop_the_others_for_long() -> (
    None
):
    nodes = Nodes(LanePolicy(requests_per_second=5))
    good = nodes.add("good")
    await nodes.run(Credentials("good"), seconds=5)
    wrong = nodes.add("wrong")
    before = len(good.sent)
    await nodes.run(Credentials("good"), minutes=2)
    assert good.condition is Condition.FLOWING
    assert len(good.sent) > before + 300
    assert len(wrong.sent) < 12
    assert nodes.commons.lanes["tiktok"].credential == good.keeper.fingerprint


async def test_a_renewed_credential_frees_the_lane_for_all_once() -> None:
    nodes = Nodes(LanePolicy(requests_per_second=5))
    first, other = nodes.add("old"), nodes.add("old")
    await nodes.run(Credentials(), seconds=30)
    assert {node.condition for node in nodes.all} == {Condition.HELD}
    await first.keeper.renew("new")
    assert nodes.shared.condition is Condition.FLOWING
    await other.keeper.renew("new")
    await nodes.run(Credentials("new"), seconds=10)
    assert most_within(nodes.sent[-20:], SECOND) <= 6
    assert {node.condition for node in nodes.all} == {Condition.FLOWING}


async def test_the_lane_outlasts_all_nodes() -> None:
    nodes = Nodes()
    await nodes.add().keeper.begin()
    for _ in range(5):
        await nodes.all[0].keeper.answered([GONE], "token", nodes.time.now)
    late = nodes.add()
    nodes.time.turn(hours=1)
    await late.keeper.begin()
    assert (late.condition, late.keeper.permit()) == (Condition.OPEN, Probe())


@pytest.mark.parametrize("skew", [-40.0, -0.5, 0.5, 40.0])
async def test_a_pause_is_as_long_by_any_clock(skew: float) -> None:
    nodes = Nodes()
    first, other = nodes.add(), nodes.add(skew=skew)
    await first.keeper.begin()
    for _ in range(5):
        await first.keeper.answered([GONE], "token", nodes.time.now)
    nodes.time.turn(seconds=20)
    assert await first.keeper.take() == Probe()
    first.keeper.sent()
    told = first.keeper.permit()
    assert isinstance(told, Wait)
    await other.keeper.begin()
    assert await other.keeper.take() == Wait(told.until + skew * SECOND)


async def test_a_moment_that_is_a_little_ahead_is_the_present() -> None:
    """No two clocks are compared to the microsecond."""
    nodes = Nodes()
    node = nodes.add()
    await node.keeper.begin()
    for _ in range(5):
        await node.keeper.answered([GONE], "token", nodes.time.now)
    told, ahead = nodes.commons.lanes["tiktok"], nodes.time.now + timedelta(milliseconds=40)
    changed = replace(told.lane, next_at=ahead + 15 * SECOND, timed_at=ahead)
    nodes.commons.lanes["tiktok"] = replace(told, lane=changed, revision=told.revision + 1)
    node.keeper.heard()
    assert await node.keeper.take() == Wait(ahead + 15 * SECOND)


async def test_a_database_whose_clock_was_set_back_stops_nothing() -> None:
    nodes = Nodes()
    node = nodes.add()
    await node.keeper.begin()
    for _ in range(5):
        await node.keeper.answered([GONE], "token", nodes.time.now)
    told = nodes.commons.lanes["tiktok"]
    ahead = timedelta(hours=1)
    assert told.lane.next_at is not None
    assert told.lane.timed_at is not None
    changed = replace(
        told.lane, next_at=told.lane.next_at + ahead, timed_at=told.lane.timed_at + ahead
    )
    nodes.commons.lanes["tiktok"] = replace(told, lane=changed, revision=told.revision + 1)
    nodes.time.turn(seconds=1)
    assert await node.keeper.take() == Probe()


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 4),
    skews=st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=4),
    weights=st.lists(st.integers(0, 5), min_size=4, max_size=4),
)
def test_whatever_happens_one_limit_and_one_probe(
    seed: int, count: int, skews: list[float], weights: list[int]
) -> None:
    async def happen() -> None:
        dice = Random(seed)  # noqa: S311 - a seeded test
        nodes = Nodes(LanePolicy(requests_per_second=4), answer_seconds=dice.uniform(0.01, 3))
        nodes.commons.random, nodes.commons.delay = dice, dice.uniform(0, 0.05)
        for skew in skews[:count]:
            nodes.add(skew=skew).cluster.is_deaf = dice.random() < 0.5
        kinds = [GOOD, DOWN, SLOW, DENIED]
        for _ in range(6):
            mood = dice.choices([*kinds, GOOD], [*weights, 1])[0]
            await nodes.run(lambda _, mood=mood: mood, seconds=dice.uniform(1, 40))  # type: ignore[misc]
        assert most_within(nodes.sent, SECOND) <= 6
        probes = [at for at, permit in nodes.sent if isinstance(permit, Probe)]
        assert all(later - earlier > 0.9 * SECOND for earlier, later in pairwise(probes))

    asyncio.run(happen())

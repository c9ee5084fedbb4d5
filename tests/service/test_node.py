"""A node's heart: its beats, what it says of the others, and its goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.node import Arrivals, Heart
from conversion_relay.service.store.cluster import (
    BEAT_SECONDS,
    LOST_AFTER,
    NodeRecord,
    NodeStanding,
    Role,
    Topic,
)
from conversion_relay.service.surroundings import Surroundings
from support.cluster import Commons, FakeCluster
from support.lines import Lines
from support.time import VirtualTime

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OWN = NodeStanding(Role.ALL, "1.0", "relay:8080", NOW)


@dataclass
class Company(FakeCluster):
    """A node, and what it is told of the others.

    Attributes:
        seen: the nodes that are there, as it is told next; itself is added.
        ahead: by so much its clock is ahead.
        fault: raised by the next beats.
        left: it said goodbye.
    """

    seen: list[NodeRecord] = field(default_factory=list)
    ahead: timedelta = timedelta()
    fault: Exception | None = None
    left: bool = False
    own: NodeStanding | None = None

    async def beat(self, standing: NodeStanding, now: datetime) -> None:
        """Kept."""
        assert now == NOW
        if self.fault is not None:
            raise self.fault
        self.own = standing

    async def nodes(self) -> Sequence[NodeRecord]:
        """As they are scripted."""
        mine = [] if self.own is None else [record("a", standing=self.own, ahead=self.ahead)]
        return [*mine, *self.seen]

    async def leave(self) -> None:
        """Kept."""
        if self.fault is not None:
            raise self.fault
        self.left = True


def record(
    name: str,
    silent: timedelta = timedelta(seconds=1),
    standing: NodeStanding = OWN,
    ahead: timedelta = timedelta(),
) -> NodeRecord:
    return NodeRecord(name, standing, silent, ahead)


def heart(company: Company, sleep: Callable[[float], object] | None = None) -> tuple[Heart, Lines]:
    async def pause(seconds: float) -> None:
        if sleep is not None:
            sleep(seconds)
        await asyncio.sleep(0)

    log = Lines()
    around = Surroundings(lambda: NOW, lambda: 0.5, Metrics(), log, pause)
    return Heart(company, lambda: OWN, around), log


def alone() -> Company:
    return Company(Commons(VirtualTime(NOW)), "a")


async def test_who_comes_and_who_is_lost_is_said_once() -> None:
    company = alone()
    one, log = heart(company)
    steps: list[tuple[list[NodeRecord], list[str]]] = [
        ([], []),
        ([record("b")], ["node.appeared"]),
        ([record("b", LOST_AFTER - timedelta(seconds=1))], []),
        ([record("b", LOST_AFTER)], ["node.lost"]),
        ([record("b", LOST_AFTER * 2)], []),
        ([record("b")], ["node.appeared"]),
        ([], ["node.left"]),
        ([record("c", LOST_AFTER)], []),
        ([], []),
    ]
    for seen, expected in steps:
        company.seen = seen
        said = len(log.lines)
        await one.beat()
        assert log.events[said:] == expected
    assert log.lines[0] == (
        "info",
        "node.appeared",
        {"node": "b", "role": "all", "release": "1.0"},
    )
    assert log.lines[1] == ("warning", "node.lost", {"node": "b", "silent_seconds": 20})
    assert company.own == OWN


async def test_a_clock_that_is_wrong_is_said_until_it_is_right() -> None:
    company = alone()
    one, log = heart(company)
    offsets = [0.0, 2.0, -2.5, -3.0, 0.1, 2.1]
    for seconds in offsets:
        await one.beat()
        company.ahead = timedelta(seconds=seconds)
    await one.beat()
    assert log.lines == [
        ("warning", "node.clock_differs", {"node": "a", "ahead_seconds": -2.5}),
        ("warning", "node.clock_differs", {"node": "a", "ahead_seconds": 2.1}),
    ]


async def test_another_node_of_the_same_name_is_noticed() -> None:
    company = alone()
    company.own = replace(OWN, started_at=NOW - timedelta(minutes=1))  # before the last restart
    one, log = heart(company)
    await one.beat()
    await one.beat()
    assert log.events == []
    for _ in range(2):
        company.own = replace(OWN, started_at=NOW + timedelta(seconds=1))
        await one.beat()
    assert log.lines == [("error", "node.name_taken", {"node": "a"})]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (StoreUnavailable("gone"), {"reason": "gone"}),
        (ValueError("a value"), {"kind": "ValueError"}),
    ],
)
async def test_a_beat_that_fails_is_said_once_and_the_next_comes(
    fault: Exception, said: dict[str, str]
) -> None:
    company, pauses = alone(), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            company.fault = None
        if len(pauses) == 4:
            company.fault = fault
        if len(pauses) == 6:
            running.cancel()

    company.fault = fault
    one, log = heart(company, sleep)
    running = asyncio.create_task(one.run())
    with suppress(asyncio.CancelledError, ValueError):
        await running
    assert pauses == [BEAT_SECONDS] * 6
    assert log.events == ["node.beat_failed"] * 2
    for _, _, details in log.lines:
        assert {"node": "a", **said}.items() <= details.items()
        assert "a value" not in str(details)


async def test_the_end_is_said_to_the_others() -> None:
    company = alone()
    one, _ = heart(company, lambda _: running.cancel())
    running = asyncio.create_task(one.run())
    with suppress(asyncio.CancelledError):
        await running
    assert company.left


async def test_an_arrival_wakes_here_and_is_told_to_the_others() -> None:
    commons, woken, heard = Commons(VirtualTime(NOW)), list[int](), list[int]()
    here, there = FakeCluster(commons, "a"), FakeCluster(commons, "b")
    there.hear(Topic.ARRIVED, lambda: heard.append(1))
    arrivals = Arrivals(lambda: woken.append(1), here)
    for _ in range(3):
        arrivals.note()
    assert (woken, heard) == ([1, 1, 1], [])
    await asyncio.sleep(0)
    assert heard == [1], "once, for all that came in the same moment"

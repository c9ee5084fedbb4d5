"""The canary in virtual time: what it waits for, when it fails and why, and what it never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition, Lane
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.canary.canary import DEADLINE, Canary
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.configuration import load
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.port import DeliveryRecord
from conversion_relay.service.surroundings import Surroundings
from support.lines import Lines
from support.time import START, VirtualTime, Work, drive

MINUTE = timedelta(minutes=1)


@dataclass
class Flow:
    """Webhook and store in one: keeps what is posted, and says what it is told of it.

    Attributes:
        refusal: what the webhook answers.
        state: of the deliveries; None: there are none.
        reason: of their last attempt.
        fault: what the store raises.
        posted: destination and messageId of each event.
    """

    refusal: str | None = None
    state: State | None = State.DELIVERED
    reason: str | None = None
    fault: Exception | None = None
    posted: list[tuple[str, str]] = field(default_factory=list)

    async def post(self, event: bytes) -> str | None:
        """As the webhook does."""
        told = orjson.loads(event)
        self.posted.append((told["properties"]["destination"], told["messageId"]))
        return self.refusal

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """As the store does."""
        if self.fault is not None:
            raise self.fault
        ((name, found),) = [one for one in self.posted if one[1] in message_ids]
        if self.state is None:
            return ()
        record = DeliveryRecord(
            1, found, name, "canary", "ViewContent", self.state, 1, self.reason, START, None
        )
        return (record,)


@dataclass
class Bench:
    """A canary that flies, in its own time."""

    canary: Canary
    flow: Flow
    time: VirtualTime
    log: Lines
    metrics: Metrics

    async def after(self, time: timedelta) -> None:
        """So much time passes."""
        until = self.time.now + time
        await drive(self.time, Work(), lambda: self.time.now >= until)
        await Work().rest()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Time passes until then."""
        await drive(self.time, Work(), condition)

    @property
    def standing(self) -> CanaryStanding:
        """Of the only destination."""
        return self.canary.standings["tiktok"]


def _configuration(**variables: str) -> Configuration:
    return load(
        {
            "TIKTOK_ACCESS_TOKEN": "token",
            "TIKTOK_PIXEL_CODE": "PIXEL",
            "SEGMENT_SHARED_SECRET": "secret",
            **variables,
        }
    )


WITH_CODE = _configuration(TIKTOK_TEST_EVENT_CODE="TEST1")
WITHOUT_CODE = _configuration()


@asynccontextmanager
async def _flying(
    configuration: Configuration = WITH_CODE, flow: Flow | None = None, lane: Lane | None = None
) -> AsyncIterator[Bench]:
    time, log, metrics, flow = VirtualTime(), Lines(), Metrics(), flow or Flow()
    numbers = iter(range(1_000))
    canary = Canary(
        flow,
        lambda _: lane,
        Surroundings(time, lambda: 0.5, metrics, log, time.sleep),
        lambda: str(next(numbers)),
    )
    canary.configure(configuration)
    task = asyncio.create_task(canary.run(flow.post))
    try:
        await Work().rest()
        yield Bench(canary, flow, time, log, metrics)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert not canary.standings


async def test_it_flies_at_once_and_then_every_minute_each_time_another_one() -> None:
    async with _flying() as bench:
        assert bench.standing == CanaryStanding("tiktok", False, last_success_at=START)  # noqa: FBT003
        await bench.after(3 * MINUTE)
        assert [message_id for _, message_id in bench.flow.posted] == [
            f"canary-{number}" for number in range(4)
        ]
        assert bench.standing.last_success_at == START + 3 * MINUTE
        runs = bench.metrics.readings()["canary_runs", ("tiktok", "succeeded")]
        assert runs == 4
        assert not bench.log.lines


@pytest.mark.parametrize("state", [State.PENDING, State.CLAIMED, State.HELD])
async def test_one_that_waits_is_a_failure_and_keeps_the_next_one_back(state: State) -> None:
    async with _flying(flow=Flow(state=state)) as bench:
        await bench.after(DEADLINE - timedelta(seconds=1))
        assert bench.standing.failures == 0
        await bench.after(timedelta(seconds=1))
        assert bench.standing.failures == 1
        assert bench.standing.reason == (
            "TikTok has not accepted it within 40 s, and nothing was answered"
        )
        failing_since = bench.standing.failing_since
        await bench.after(10 * MINUTE - DEADLINE)
        assert len(bench.flow.posted) == 1
        assert bench.standing.failures == 11
        assert bench.standing.failing_since == failing_since
        assert bench.standing.last_failure_at != failing_since
        bench.flow.state = State.DELIVERED
        await bench.after(MINUTE)
        assert len(bench.flow.posted) == 2
        assert (bench.standing.failures, str(bench.standing.reason)) == (0, "None")
        assert bench.log.events == ["canary.failed"] * 11 + ["canary.recovered"]


@pytest.mark.parametrize(
    ("flow", "reason"),
    [
        (
            Flow(refusal="the webhook did not answer within 10 s"),
            "the webhook did not answer within 10 s",
        ),
        (Flow(state=None), "the webhook took it, and nothing of it is to be delivered"),
        (Flow(state=State.DEAD, reason="code 40002"), "it ended as dead: code 40002"),
        (Flow(state=State.SUPPRESSED), "it ended as suppressed: no reason was kept"),
        (Flow(fault=StoreUnavailable("it is closed")), "the store does not answer: it is closed"),
        (Flow(fault=ZeroDivisionError()), "the service met a fault of its own"),
    ],
)
async def test_what_cannot_come_through_any_more_fails_at_once(flow: Flow, reason: str) -> None:
    async with _flying(flow=flow) as bench:
        assert bench.standing.reason == reason
        assert bench.standing.last_failure_at == START
        assert bench.standing.last_success_at is None
        assert bench.metrics.readings()["canary_runs", ("tiktok", "failed")] == 1


@pytest.mark.parametrize(
    ("lane", "reason"),
    [
        (
            Lane(Condition.OPEN, START, "status 503"),
            "TikTok has not accepted it within 40 s; the lane is open: status 503",
        ),
        (
            Lane(Condition.HELD, START, "code 40105"),
            "TikTok has not accepted it within 40 s; the lane is held: code 40105",
        ),
        (Lane(), "TikTok has not accepted it within 40 s: read timeout"),
        (None, "TikTok has not accepted it within 40 s: read timeout"),
    ],
)
async def test_the_reason_is_that_of_the_lane_or_of_the_last_attempt(
    lane: Lane | None, reason: str
) -> None:
    flow = Flow(state=State.PENDING, reason="read timeout")
    async with _flying(flow=flow, lane=lane) as bench:
        await bench.after(DEADLINE)
        assert bench.standing.reason == reason


async def test_without_a_test_code_it_stops_before_tiktok_and_says_so_once() -> None:
    async with _flying(WITHOUT_CODE, Flow(state=None)) as bench:
        await bench.after(5 * MINUTE)
        assert bench.standing.stops_before_tiktok
        assert bench.standing.last_success_at == START + 5 * MINUTE
        assert len(bench.flow.posted) == 6
        assert bench.log.events == ["canary.stops_before_tiktok"]
        bench.flow.refusal = "the webhook cannot be reached"
        await bench.after(MINUTE)
        assert bench.standing.reason == "the webhook cannot be reached"


async def test_at_the_stop_it_rests_and_what_is_on_its_way_is_no_failure() -> None:
    async with _flying(flow=Flow(state=State.PENDING)) as bench:
        await bench.until(lambda: bool(bench.flow.posted))
        bench.canary.rest()
        await bench.after(3 * MINUTE)
        assert len(bench.flow.posted) == 1
        assert bench.canary.standings == {}
        assert "canary.failed" not in bench.log.events


async def test_other_settings_take_effect_at_once() -> None:
    async with _flying(WITHOUT_CODE) as bench:
        bench.canary.configure(WITH_CODE)
        await Work().rest()
        assert bench.standing == CanaryStanding("tiktok", False, last_success_at=START)  # noqa: FBT003
        off = WITH_CODE.canary.model_copy(update={"enabled": False})
        bench.canary.configure(WITH_CODE.model_copy(update={"canary": off}))
        assert bench.canary.standings == {}
        sent = len(bench.flow.posted)
        await bench.after(5 * MINUTE)
        assert len(bench.flow.posted) == sent
        bench.canary.configure(WITH_CODE)
        await Work().rest()
        assert len(bench.flow.posted) == sent + 1


async def test_each_destination_is_judged_on_its_own() -> None:
    two = WITH_CODE.model_copy(
        update={
            "destinations": {
                "tiktok": WITH_CODE.destinations["tiktok"],
                "us": WITHOUT_CODE.destinations["tiktok"],
            }
        }
    )
    async with _flying(two, Flow(state=State.PENDING)) as bench:
        await bench.after(2 * MINUTE)
        assert bench.standing.failures == 3  # at the deadline, and at two more looks
        assert bench.canary.standings["us"].failures == 0
        assert [name for name, _ in bench.flow.posted if name == "us"] == ["us"] * 3


def test_a_standing_can_be_read_and_not_changed() -> None:
    standing = CanaryStanding("tiktok", stops_before_tiktok=False)
    with pytest.raises(AttributeError):
        standing.failures = 1  # type: ignore[misc]
    assert replace(standing, failures=1).failures == 1


async def test_it_rests_while_another_node_sends_them() -> None:
    async with _flying() as bench:
        ours = [False]
        bench.canary.is_ours = lambda: ours[0]
        await bench.after(3 * MINUTE)
        assert len(bench.flow.posted) == 1  # before
        assert not bench.canary.standings
        assert bench.canary.is_ready
        ours[0] = True
        await bench.after(MINUTE)
        assert len(bench.flow.posted) == 2

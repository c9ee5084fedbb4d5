"""The demonstration of an outage: its time, and a short performance of all of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conversion_relay import demo
from conversion_relay.demo.acceleration import Acceleration
from conversion_relay.demo.happening import Script, require_progress
from conversion_relay.errors import RelayError

START = datetime(2026, 1, 13, 18, tzinfo=UTC)
FAST = 1e9
"""No faster than the work is done."""
SHORT = Script(
    before=timedelta(minutes=10),
    away=timedelta(minutes=50),
    after=timedelta(minutes=5),
    factor=FAST,
    pause_seconds=60,
)


@asynccontextmanager
async def passing(clock: Acceleration) -> AsyncIterator[None]:
    task = asyncio.create_task(clock.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_sleepers_wake_in_order_and_on_time() -> None:
    clock = Acceleration(START, FAST)
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with passing(clock):
        await asyncio.gather(*(sleep(seconds) for seconds in (3_600, 0.25, 30, 0, -1)))
    assert [seconds for seconds, _ in woken] == [0, -1, 0.25, 30, 3_600]
    assert all(abs(at - max(0, seconds)) < 0.001 for seconds, at in woken)
    assert clock.timestamp() >= START.timestamp() + 3_600


async def test_time_stands_still_for_what_is_on_its_way() -> None:
    under_way = True
    clock = Acceleration(START, FAST, busy=lambda: under_way)
    async with passing(clock):
        for _ in range(50):
            await asyncio.sleep(0)
        assert clock.now == START
        under_way = False
        await clock.sleep(1)
        assert clock.monotonic() == 1


async def test_time_waits_for_whoever_slept_and_works() -> None:
    clock, done = Acceleration(START, FAST), asyncio.Event()

    async def work() -> None:
        await clock.sleep(2)
        await done.wait()

    working = asyncio.create_task(work())
    async with passing(clock):
        other = asyncio.create_task(clock.sleep(60))
        for _ in range(50):
            await asyncio.sleep(0)
        assert clock.monotonic() == 2
        done.set()
        await asyncio.gather(working, other)
    assert clock.monotonic() >= 60


async def test_who_gave_up_sleeping_is_not_waited_for() -> None:
    clock = Acceleration(START, FAST)
    given_up = asyncio.create_task(clock.sleep(5))
    async with passing(clock):
        await asyncio.sleep(0)
        given_up.cancel()
        await clock.sleep(10)
    assert given_up.cancelled()


async def test_a_part_that_is_stuck_ends_the_demonstration_instead_of_hanging() -> None:
    clock = Acceleration(START, FAST)
    with pytest.raises(RelayError, match="does not get on"):
        await require_progress(clock, 0, timedelta(minutes=5))


async def test_as_long_as_time_passes_nobody_interferes() -> None:
    clock = Acceleration(START, FAST)
    watching = asyncio.create_task(require_progress(clock, 0, timedelta(seconds=1)))
    await asyncio.sleep(0)
    for _ in range(100):
        clock.now += timedelta(minutes=1)
        await asyncio.sleep(0)
    assert not watching.done()
    watching.cancel()


@pytest.mark.slow
def test_an_outage_of_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    demo.run_outage(once=True, script=SHORT)
    shown = capsys.readouterr().out
    assert "TikTok fails" in shown
    assert "each that the service took, exactly once" in " ".join(shown.split())
    assert "tiktok accepted nothing from" in " ".join(shown.split())
    file = Path(shown.split("printed: ")[1].split("\n")[0].strip())
    page = file.read_text("utf-8")
    file.unlink()
    assert re.search(r"outage, \d+", page)  # how long exactly, the machine decides
    assert "ALERT  Alert (critical)" in shown
    assert "ALERT  Resolved" in shown
    assert "Waiting: " in shown
    assert "What to do: " in shown

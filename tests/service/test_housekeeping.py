"""The loop that sweeps: when it pauses, what it says, and that nothing ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.app import Outside, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.housekeeping import ROUND_SECONDS, STEP_SECONDS, Housekeeping
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Disposition, Retention, Swept
from conversion_relay.service.surroundings import Surroundings
from service.store.examples import NOW, event
from support.lines import Lines
from support.running import environment

Step = Swept | Exception
NOTHING = Swept()


@dataclass
class House:
    """A store that answers each step as it was told, and ends the loop after the last."""

    answers: Sequence[Step]
    asked: list[tuple[Retention, datetime]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def step(self, retention: Retention, now: datetime) -> Swept:
        """The next answer."""
        self.asked.append((retention, now))
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        """Note the pause; nobody waits."""
        self.pauses.append(seconds)
        if len(self.asked) == len(self.answers):
            raise asyncio.CancelledError


@dataclass
class Awaited(Lines):
    """A log whose first line can be waited for."""

    told: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    def info(self, event: str, **details: object) -> None:
        super().info(event, **details)
        self.told.set()


async def kept(*answers: Step) -> tuple[House, Lines]:
    """What happens when the store answers so."""
    house, lines = House(answers), Lines()
    around = Surroundings(lambda: NOW, lambda: 0.5, Metrics(), lines, house.sleep)
    with pytest.raises(asyncio.CancelledError):
        await Housekeeping(house.step, Retention(), around).run()
    return house, lines


async def test_steps_follow_each_other_until_all_is_done() -> None:
    house, _ = await kept(Swept(events=5, is_done=False), Swept(is_done=False), NOTHING, NOTHING)
    assert house.pauses == [STEP_SECONDS, STEP_SECONDS, ROUND_SECONDS, ROUND_SECONDS]
    assert house.asked == [(Retention(), NOW)] * 4


async def test_one_line_says_what_a_sweep_removed() -> None:
    _, lines = await kept(
        Swept(events=500, is_done=False), Swept(3, 70, is_done=False), Swept(freed_bytes=9)
    )
    told = {"events": 503, "ledger_entries": 70, "freed_bytes": 9}
    assert lines.lines == [("info", "housekeeping.swept", told)]


async def test_a_sweep_that_removed_nothing_says_nothing() -> None:
    _, lines = await kept(Swept(is_done=False), NOTHING, NOTHING)
    assert lines.lines == []


async def test_a_fault_of_the_store_does_not_end_it() -> None:
    house, lines = await kept(
        Swept(events=5, is_done=False), StoreUnavailable("the disk is full"), Swept(events=2)
    )
    assert house.pauses == [STEP_SECONDS, ROUND_SECONDS, ROUND_SECONDS]
    assert lines.lines == [
        ("info", "housekeeping.swept", {"events": 5, "ledger_entries": 0, "freed_bytes": 0}),
        ("error", "housekeeping.failed", {"reason": "the disk is full"}),
        ("info", "housekeeping.swept", {"events": 2, "ledger_entries": 0, "freed_bytes": 0}),
    ]


async def test_the_running_service_keeps_house(tmp_path: Path) -> None:
    lines = Awaited()
    configuration = load(environment(tmp_path, "http://127.0.0.1:9"))
    async with open_relay(configuration, lines, Outside(clock=lambda: NOW)) as relay:
        old = replace(event("a"), disposition=Disposition.UNMATCHED, deliveries=())
        await relay.store.append([replace(old, received_at=NOW - timedelta(days=1))])
        async with relay.delivering(), asyncio.timeout(20):
            await lines.told.wait()
    assert lines.lines[0][1:] == (
        "housekeeping.swept",
        {"events": 1, "ledger_entries": 0, "freed_bytes": 0},
    )


async def test_a_fault_of_ours_is_told_without_its_text() -> None:
    house, lines = await kept(ValueError("jane.doe@example.com"), Swept(events=2))
    assert lines.events == ["housekeeping.failed", "housekeeping.swept"]
    assert lines.lines[0][2]["kind"] == "ValueError"
    assert "jane.doe" not in str(lines.lines)
    assert len(house.asked) == 2

"""Whatever goes wrong, and in whatever order: every event ends somewhere, and none counts twice.

Crashes, stops, TikTok's moods and the clock's jumps are chosen freely; the judge is the sandbox,
whose ledger knows the 48-hour rule.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import State
from support.events import order
from support.simulation import Mood, Simulation
from support.time import VirtualTime


@dataclass(frozen=True)
class _Chapter:
    """Events arrive while TikTok is in some mood; then something happens, and time is gone.

    Attributes:
        seconds: that pass after the events.
        ending: of the process, which starts again after the hours.
        hours: by which the clock jumps.
    """

    mood: Mood
    events: int
    seconds: float
    ending: str
    hours: float


_MOODS: list[Mood] = ["up", "refused", "error", "timeout", "lost", "denied", "throttled"]
_ENDS = {State.DELIVERED, State.DEAD, State.HELD, State.UNCERTAIN}
_HOURS = st.sampled_from([0.0, 0.01, 1.0, 47.0, 49.0, 200.0])
_CHAPTERS = st.lists(
    st.builds(
        _Chapter,
        mood=st.sampled_from(_MOODS),
        events=st.integers(0, 4),
        seconds=st.sampled_from([0.05, 0.3, 5.0, 25.0, 70.0]),
        ending=st.sampled_from(["nothing", "crash", "stop"]),
        hours=_HOURS,
    ),
    max_size=6,
)


class _World:
    """A simulation whose mood is set from outside."""

    def __init__(self, folder: Path) -> None:
        self.mood: Mood = "up"
        self.time = VirtualTime()
        self.simulation = Simulation(folder, lambda _: self.mood, 1, self.time)
        self._names: Iterator[int] = itertools.count()

    async def live(self, chapter: _Chapter) -> None:
        """One chapter."""
        simulation, time = self.simulation, self.time
        self.mood = chapter.mood
        names = [f"m-{next(self._names)}" for _ in range(chapter.events)]
        await simulation.keep([orjson.dumps(order(name)) for name in names])
        await simulation.run_to(time.now + timedelta(seconds=chapter.seconds))
        if chapter.ending == "crash":
            await simulation.crash()
        elif chapter.ending == "stop":
            await simulation.stop()
        time.turn(hours=chapter.hours)
        if chapter.ending != "nothing":
            await simulation.start()

    async def end(self) -> None:
        """TikTok is well again, and there is time for all that waits."""
        self.mood = "up"
        for _ in range(20):
            await self.simulation.run_to(self.time.now + timedelta(minutes=2))
            if not await self._waits():
                break

    async def _waits(self) -> bool:
        totals = await self.simulation.store.totals()
        return any(count for (_, state), count in totals.deliveries.items() if state not in _ENDS)

    async def judge(self) -> None:
        """Compares what was acknowledged with what the store and the sandbox say."""
        acknowledged = self.simulation.acknowledged
        records = await self.simulation.store.deliveries(sorted(acknowledged))
        assert {record.message_id for record in records} == acknowledged
        assert all(record.state in _ENDS for record in records)
        assert all(record.reason for record in records if record.state is not State.DELIVERED)
        conversions = self.simulation.sandbox.ledger.conversions()
        counted = Counter(str(one.event_id) for one in conversions)
        assert counted.keys() <= acknowledged, "invented"
        assert not [name for name, count in counted.items() if count > 1], "counted twice"
        delivered = {one.message_id for one in records if one.state is State.DELIVERED}
        assert delivered <= counted.keys(), "said to be delivered, and is not"
        assert all(one.altered_copies == 0 for one in conversions)


@settings(max_examples=60, deadline=None)
@given(_CHAPTERS)
def test_every_event_ends_and_none_counts_twice(chapters: list[_Chapter]) -> None:
    async def main() -> None:
        with TemporaryDirectory() as folder:
            world = _World(Path(folder))
            await world.simulation.start()
            for chapter in chapters:
                await world.live(chapter)
            await world.end()
            await world.judge()
            await world.simulation.stop()

    asyncio.run(main())


_POISONS: list[Mood] = ["error", "timeout", "lost", "forbidden"]


@settings(max_examples=20, deadline=None)
@given(
    poison=st.sampled_from(_POISONS),
    gaps=st.lists(st.sampled_from([0.0, 1.0, 30.0, 300.0]), min_size=1, max_size=12),
)
def test_one_event_that_tiktok_cannot_take_stops_no_other(poison: Mood, gaps: list[float]) -> None:
    """Every other one arrives within two minutes, however rare or many they are."""

    async def main() -> None:
        with TemporaryDirectory() as folder:
            world = _World(Path(folder))
            simulation, time = world.simulation, world.time
            simulation.tiktok.poison[b'"event_id":"m-poison"'] = poison
            await simulation.start()
            await simulation.keep([orjson.dumps(order("m-poison"))])
            for number, gap in enumerate(gaps):
                await simulation.run_to(time.now + timedelta(seconds=gap))
                await simulation.keep([orjson.dumps(order(f"m-{number}"))])
            await simulation.run_to(time.now + timedelta(minutes=2))
            arrived = {str(one.event_id) for one in simulation.sandbox.ledger.conversions()}
            assert arrived >= {f"m-{number}" for number, _ in enumerate(gaps)}
            await simulation.stop()

    asyncio.run(main())

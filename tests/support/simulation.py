"""The delivery engine in virtual time: real store and workers, and TikTok's sandbox behind a wire.

Nothing here waits in real time but for the disk. What TikTok is like at a moment is a function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias, cast

import httpx

from conversion_relay.core.decoding import Decoded, decode
from conversion_relay.core.delivery import RetryPolicy, TransportFailure, WireResponse
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.lane import LanePolicy
from conversion_relay.core.plan import Target
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.service.configuration import load
from conversion_relay.service.dispatch import Dispatch
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import NewEvent, Store
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.targets import build_targets
from conversion_relay.service.worker import Worker
from support.lines import Lines
from support.running import environment
from support.time import VirtualTime, Watched, Work, drive

Mood: TypeAlias = Literal[
    "up", "refused", "error", "timeout", "lost", "denied", "forbidden", "throttled"
]
"""How TikTok is: `lost` takes the events and never answers; `forbidden` is a proxy's word."""

_SILENCE = TransportFailure(certain=False, reason="no answer within 20 s")
_REPLIES: dict[Mood, WireResponse | TransportFailure] = {
    "refused": TransportFailure(certain=True, reason="connect error"),
    "error": WireResponse(502, b"<html>502 Bad Gateway</html>"),
    "timeout": _SILENCE,
    "lost": _SILENCE,
    "denied": WireResponse(200, b'{"code":40105,"message":"Access token is incorrect."}'),
    "forbidden": WireResponse(403, b"<html>403 Forbidden</html>"),
    "throttled": WireResponse(429, b'{"code":40100,"message":"Too many requests"}'),
}
_SECONDS: dict[Mood, float] = dict.fromkeys(_REPLIES, 0.15) | {"timeout": 20.0, "lost": 20.0}
_SECONDS |= {"up": 0.15, "refused": 0.0}
_KEY = bytes(range(32))


@dataclass
class VirtualTikTok:
    """A wire to the sandbox, through whatever TikTok's mood does to it.

    Attributes:
        mood: of a moment.
        poison: a mood of its own for every request that holds these bytes.
        sent: when each request began.
    """

    sandbox: Sandbox
    time: VirtualTime
    work: Work
    mood: Callable[[datetime], Mood]
    poison: dict[bytes, Mood] = field(default_factory=dict)
    sent: list[datetime] = field(default_factory=list)

    async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
        """What comes back, in virtual time."""
        self.sent.append(self.time.now)
        mood = self._mood(request.content)
        if mood == "lost":
            await self._judge(request)
        await self.time.sleep(_SECONDS[mood])
        return await self._judge(request) if mood == "up" else _REPLIES[mood]

    def _mood(self, content: bytes) -> Mood:
        usual = self.mood(self.time.now)
        if usual != "up":
            return usual
        return next((mood for bad, mood in self.poison.items() if bad in content), usual)

    async def _judge(self, request: OutgoingRequest) -> WireResponse:
        transport = httpx.ASGITransport(app=self.sandbox)
        with self.work.going_on():
            async with httpx.AsyncClient(transport=transport, base_url="http://tiktok") as client:
                answer = await client.request(
                    request.method, request.path, headers=request.headers, content=request.content
                )
        return WireResponse(answer.status_code, answer.content)


class Simulation:
    """One destination, its database in a folder, and a sandbox that outlives every crash."""

    def __init__(
        self, folder: Path, mood: Callable[[datetime], Mood], seed: int, time: VirtualTime
    ) -> None:
        self.time = time
        self.work = Work()
        self.log = Lines()
        self.sandbox = create_sandbox(clock=self._seconds)
        self.tiktok = VirtualTikTok(self.sandbox, time, self.work, mood)
        self.acknowledged: set[str] = set()
        self._random = Random(seed)  # noqa: S311 - a seeded test
        self._folder = folder
        (self._target,) = build_targets(load(environment(folder, "http://127.0.0.1:9")))
        self._planner = Planner({"default": [self._target]}, 64 * 1024, time, self.log)

    @property
    def store(self) -> Store:
        """As the engine sees it."""
        return cast("Store", self._watched)

    @property
    def worker(self) -> Worker:
        """That runs now."""
        return self._worker

    async def start(self) -> None:
        """As after an ordinary start, or the one after a crash."""
        self._opened: SqliteStore = await open_store(
            self._folder / "simulated.db", Sealer((_KEY,)), now=self.time.now
        )
        self._watched = Watched(self._opened, self.work)
        around = Surroundings(self.time, self._random.random, Metrics(), self.log, self.time.sleep)
        lane = LaneKeeper(self._target.name, "access-token", "", self.store, LanePolicy(), around)
        self._worker = _worker(self._target, self.tiktok, lane, around)
        self._running = asyncio.create_task(self._worker.run())

    async def stop(self) -> None:
        """An ordinary end."""
        self._worker.stop()
        await drive(self.time, self.work, self._running.done)
        await self._opened.close()

    async def crash(self) -> None:
        """Everything in memory is gone, requests under way included."""
        self._watched.dead = True
        for task in (self._running, *self._worker.sending):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._opened.close()

    async def keep(self, payloads: Sequence[bytes]) -> None:
        """As the webhook does: planned, kept, acknowledged, told."""
        events = [self._planned(payload) for payload in payloads]
        await self.store.append(events)
        self.acknowledged.update(event.message_id for event in events)
        self._worker.wake()

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Lets time pass until the condition holds."""
        await drive(self.time, self.work, condition)

    async def run_to(self, moment: datetime) -> None:
        """Lets time pass until then."""
        alarm = asyncio.create_task(self.time.sleep((moment - self.time.now).total_seconds()))
        await drive(self.time, self.work, alarm.done)

    def _seconds(self) -> float:
        return self.time.now.timestamp()

    def _planned(self, payload: bytes) -> NewEvent:
        element = decode(payload.decode())
        assert isinstance(element, Decoded)
        return self._planner.plan("default", element)


def _worker(
    target: Target, tiktok: VirtualTikTok, lane: LaneKeeper, around: Surroundings
) -> Worker:
    dispatch = Dispatch(
        target.name, target.destination, tiktok, lane, lane.store, RetryPolicy(), around
    )
    return Worker(dispatch, lane.store, 4, around)

"""The whole service in virtual time: real ways in, store, workers and monitor; TikTok is a wire.

Nothing waits in real time but for the disk.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import cast

import httpx
import orjson
from typing_extensions import override

from conversion_relay.core.delivery import TransportFailure, WireResponse
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.service.alerting.alert import News, Notification
from conversion_relay.service.app import Outside, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.relay import Relay
from conversion_relay.service.settings import DestinationSettings, ServiceSettings
from conversion_relay.service.store.port import Store
from conversion_relay.service.stores import keep_in_database
from support.events import signature
from support.lines import Lines
from support.running import SECRET, environment
from support.time import START, VirtualTime, Watched, Work, drive

Reply = WireResponse | TransportFailure
SILENT = TransportFailure(certain=False, reason="no answer within 20 s")
REFUSED = TransportFailure(certain=True, reason="connect error")


@dataclass
class Wire:
    """The way to TikTok's sandbox, or to what a test puts in its place.

    Attributes:
        reply: to a request; None: the sandbox's.
    """

    sandbox: Sandbox
    time: VirtualTime
    work: Work
    reply: Callable[[OutgoingRequest], Reply | None] = lambda _: None

    async def send(self, request: OutgoingRequest) -> Reply:
        """What comes back; silence takes 20 seconds."""
        reply = self.reply(request)
        await self.time.sleep(20.0 if reply is SILENT else 0.15)
        return await self._judge(request) if reply is None else reply

    async def _judge(self, request: OutgoingRequest) -> WireResponse:
        transport = httpx.ASGITransport(app=self.sandbox)
        with self.work.going_on():
            async with httpx.AsyncClient(transport=transport, base_url="http://tiktok") as client:
                answer = await client.request(
                    request.method, request.path, headers=request.headers, content=request.content
                )
        return WireResponse(answer.status_code, answer.content)


class Kept(Watched):
    """A store, or its history, whose calls count as work; some can be made to answer otherwise.

    Attributes:
        hanging: calls that do not come back before `let_go`.
        sizes_told: what `sizes` gives instead of the truth.
    """

    def __init__(self, watched: object, work: Work) -> None:
        super().__init__(watched, work)
        self.hanging: set[str] = set()
        self.sizes_told: Mapping[str, int] | None = None
        self._let_go = asyncio.Event()

    def let_go(self) -> None:
        """Nothing hangs any more."""
        self.hanging.clear()
        self._let_go.set()

    @override
    def __getattr__(self, name: str) -> object:
        found = super().__getattr__(name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def answer(*positional: object, **named: object) -> object:
            if name in self.hanging:
                await self._let_go.wait()
            told = self.sizes_told if name == "sizes" else None
            return await found(*positional, **named) if told is None else told

        return answer


class KeptStore(Kept):
    """The store, with a history that is watched as well."""

    def __init__(self, watched: Store, work: Work) -> None:
        super().__init__(watched, work)
        self.history = Kept(watched.history, work)


@dataclass
class VirtualRelay:
    """The running service and what is around it.

    Attributes:
        told: every notification, in order.
        posted: how many events were acknowledged.
    """

    time: VirtualTime
    work: Work
    relay: Relay
    wire: Wire
    kept: KeptStore
    client: httpx.AsyncClient
    log: Lines
    told: list[Notification] = field(default_factory=list)
    posted: int = 0

    @property
    def monitor(self) -> Monitor:
        """That watches it."""
        assert self.relay.monitor is not None
        return self.relay.monitor

    def opened(self, since: datetime = START) -> dict[str, datetime]:
        """When alerts opened since then, by rule."""
        return {
            one.alert.finding.rule: one.at
            for one in self.told
            if one.news is News.OPENED and one.at >= since
        }

    def open_now(self) -> set[str]:
        """The rules of the alerts that are open."""
        return {alert.finding.rule for alert in self.monitor.alerts()}

    async def post(self, event: JsonObject, secret: str = SECRET) -> int:
        """Posts an event as Segment does; gives the status of the answer."""
        raw = orjson.dumps(event)
        headers = {"Content-Type": "application/json", "X-Signature": signature(secret, raw)}
        with self.work.going_on():
            answer = await self.client.post("/webhook/default", content=raw, headers=headers)
        self.posted += answer.status_code == httpx.codes.OK
        return answer.status_code

    async def run_for(self, **length: float) -> None:
        """Lets so much time pass: seconds, minutes, hours."""
        alarm = asyncio.create_task(self.time.sleep(timedelta(**length).total_seconds()))
        await drive(self.time, self.work, alarm.done)


@asynccontextmanager
async def virtual_relay(folder: Path, **changes: str) -> AsyncIterator[VirtualRelay]:
    """The service, delivering; `changes` are environment variables."""
    time, work, log = VirtualTime(), Work(), Lines()

    def seconds() -> float:
        return time.now.timestamp()

    sandbox = create_sandbox(clock=seconds)
    wire = Wire(sandbox, time, work)
    stores: list[KeptStore] = []

    @asynccontextmanager
    async def connect(_: DestinationSettings, __: Callable[[], datetime]) -> AsyncIterator[Wire]:
        yield wire

    async def open_store(settings: ServiceSettings, now: datetime, metrics: Metrics) -> Store:
        stores.append(KeptStore(await keep_in_database(settings, now, metrics), work))
        return cast("Store", stores[-1])

    outside = Outside(
        clock=time,
        jitter=Random(7).random,  # noqa: S311 - a seeded test
        sleep=time.sleep,
        connect=connect,
        monotonic=seconds,
        open_store=open_store,
    )
    configuration = load(environment(folder, "http://127.0.0.1:9", **changes))
    async with open_relay(configuration, log, outside) as relay:
        transport = httpx.ASGITransport(app=relay.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            running = VirtualRelay(time, work, relay, wire, stores[0], client, log)
            _listen(running)
            async with _delivering(running):
                yield running


def _listen(running: VirtualRelay) -> None:
    """Has a copy of every notification kept."""
    tell = running.monitor.notify

    def both(notification: Notification) -> None:
        running.told.append(notification)
        tell(notification)

    running.monitor.notify = both


@asynccontextmanager
async def _delivering(running: VirtualRelay) -> AsyncIterator[None]:
    """Runs it; at the end time passes until everything has ended."""
    over = asyncio.Event()
    begun = asyncio.Event()

    async def deliver() -> None:
        async with running.relay.delivering():
            begun.set()
            await over.wait()

    task = asyncio.create_task(deliver())
    await begun.wait()
    try:
        yield
    finally:
        over.set()
        running.kept.let_go()
        await drive(running.time, running.work, task.done)
        await task

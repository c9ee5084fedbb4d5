"""Every broken flow is known within a minute, and an ordinary one is not taken for broken.

The whole service in virtual time, with one kind of failure after the other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from conversion_relay.core.delivery import WireResponse
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.service.alerting.alert import News
from support.disk import FULL, Disk, failing_disk
from support.events import order
from support.running import SECRET
from support.virtual_relay import SILENT, Reply, VirtualRelay, virtual_relay

pytestmark = pytest.mark.slow
WITHIN = timedelta(seconds=60)
_POISON = "poison-1"


@dataclass
class Shop:
    """A source that sends an order every second.

    Attributes:
        secret: with which it signs.
        revenue: of its orders; what is no number, no mapping can use.
        sends: whether it does.
    """

    running: VirtualRelay
    secret: str = SECRET
    revenue: object = 59.9
    sends: bool = True
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def open(self) -> None:
        """Sends until it is cancelled."""
        while True:
            if self.sends:
                await self.send(f"m-{next(self._numbers)}")
            await self.running.time.sleep(1.0)

    async def send(self, message_id: str) -> int:
        """One order; gives the status of the answer."""
        event = order(message_id, properties={"revenue": self.revenue, "currency": "EUR"})
        return await self.running.post(event, self.secret)


@dataclass
class Scene:
    """What a failure may break."""

    running: VirtualRelay
    shop: Shop
    disk: Disk


Failure: TypeAlias = Callable[[Scene], Iterator[None]]


def _answers(reply: Reply) -> Failure:
    """TikTok, or what is in front of it, answers everything like this."""

    def failure(scene: Scene) -> Iterator[None]:
        scene.running.wire.reply = lambda _: reply
        yield
        scene.running.wire.reply = lambda _: None

    return failure


def _unusable_events(scene: Scene) -> Iterator[None]:
    scene.shop.revenue = "much"
    yield
    scene.shop.revenue = 59.9


def _no_room(scene: Scene) -> Iterator[None]:
    scene.disk.fault = FULL
    yield
    scene.disk.fault = None


def _little_room(scene: Scene) -> Iterator[None]:
    history = scene.running.kept.history
    history.sizes_told = {"disk_free": 5_000, "disk_size": 100_000, "database": 1, "log": 1}
    yield
    history.sizes_told = {"disk_free": 50_000, "disk_size": 100_000, "database": 1, "log": 1}


def _hanging_claims(scene: Scene) -> Iterator[None]:
    scene.running.kept.hanging |= {"claim", "next_due"}
    yield
    scene.running.kept.let_go()


def _forged(scene: Scene) -> Iterator[None]:
    scene.shop.secret = "another"
    yield
    scene.shop.secret = SECRET


def _quiet(scene: Scene) -> Iterator[None]:
    scene.shop.sends = False
    yield
    scene.shop.sends = True


def _unanswered_event(scene: Scene) -> Iterator[None]:
    def reply(request: OutgoingRequest) -> Reply | None:
        return WireResponse(502, b"Bad Gateway") if _POISON.encode() in request.content else None

    scene.running.wire.reply = reply
    yield
    scene.running.wire.reply = lambda _: None


REVOKED = WireResponse(200, b'{"code":40105,"message":"Access token is incorrect."}')
WRONG = WireResponse(200, b'{"code":40002,"message":"Invalid parameter"}')
THROTTLED = WireResponse(429, b'{"code":40100,"message":"Too many requests"}')
BAD_GATEWAY = WireResponse(502, b"<html>502 Bad Gateway</html>")

KINDS: dict[str, tuple[Failure, set[str]]] = {
    "5xx": (_answers(BAD_GATEWAY), {"lane_open"}),
    "429": (_answers(THROTTLED), {"throttled"}),
    "time-out": (_answers(SILENT), {"lane_open"}),
    "token revoked": (_answers(REVOKED), {"lane_held"}),
    "200 with a code": (_answers(WRONG), {"delivery_failing", "dead_letters"}),
    "mapping error": (_unusable_events, {"rejections_rising"}),
    "store down": (_no_room, {"store_failing"}),
    "disk 95 %": (_little_room, {"disk_nearly_full"}),
    "worker stuck": (_hanging_claims, {"worker_stuck"}),
    "bad signatures": (_forged, {"signature_failures"}),
    "silence": (_quiet, {"silence"}),
}
"""Each kind of failure, and every rule that has to say so; others have to be silent."""


@asynccontextmanager
async def _scene(folder: Path, **changes: str) -> AsyncIterator[Scene]:
    """The service, with some minutes of ordinary traffic behind it and more to come."""
    with failing_disk(folder) as disk:
        async with virtual_relay(folder, **changes) as running:
            shop = Shop(running)
            sending = asyncio.create_task(shop.open())
            await running.run_for(seconds=150)
            assert not running.told
            assert running.posted > 140
            yield Scene(running, shop, disk)
            sending.cancel()


@contextmanager
def _struck(failure: Failure, scene: Scene) -> Iterator[None]:
    """The failure, mended at the end."""
    with ExitStack() as mending:
        mending.enter_context(contextmanager(failure)(scene))
        yield


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broken_flow_is_known_within_a_minute_and_so_is_its_end(
    kind: str, tmp_path: Path
) -> None:
    failure, rules = KINDS[kind]
    async with _scene(tmp_path, RELAY_ON_INVALID_FIELD="reject") as scene:
        running = scene.running
        failed_at = running.time.now
        with _struck(failure, scene):
            await running.run_for(seconds=60)
            opened = running.opened()
            assert opened.keys() <= rules
            assert opened
            assert min(opened.values()) - failed_at <= WITHIN
            await running.run_for(seconds=60)
            assert running.opened().keys() == rules
        await running.run_for(minutes=7 if rules & {"dead_letters", "signature_failures"} else 3)
        assert not running.open_now()
        resolved = [one for one in running.told if one.news is News.RESOLVED]
        assert len(resolved) == len(rules)
        assert running.opened().keys() == rules
        records = await running.relay.store.history.alerts(10)
        assert {one.rule for one in records if one.resolved_at is not None} == rules


async def test_an_event_that_waits_too_long_is_known_within_a_minute(tmp_path: Path) -> None:
    async with _scene(tmp_path, RELAY_ALERT_BACKLOG_AGE="2m") as scene:
        running = scene.running
        with _struck(_unanswered_event, scene):
            sent_at = running.time.now
            assert await scene.shop.send(_POISON) == 200
            await running.run_for(minutes=3)
            assert running.opened().keys() == {"backlog_age"}
            late = running.opened()["backlog_age"] - sent_at - timedelta(minutes=2)
            assert timedelta() < late <= WITHIN
        await running.run_for(minutes=3)
        assert not running.open_now()

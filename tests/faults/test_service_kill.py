"""Row 1. The service is killed at any point of its work: what it acknowledged arrives once.

The points are drawn, and spread over everything an event meets on its way. Restarts need nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conversion_relay.sandbox import running
from faults.conftest import Report, size_of
from faults.process import Pauses, Segment, Service, Shop, drained, slow_sandbox
from support.running import BEARER

_SEED = 20261121
_LONGEST_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a kill can be timed by."""

    service: Service
    segment: Segment
    pauses: Pauses
    draw: random.Random

    async def after(self, event: asyncio.Event, least: float, most: float) -> None:
        """Waits for the next such event, then a moment of so many milliseconds."""
        event.clear()
        async with asyncio.timeout(_LONGEST_WAIT):
            await event.wait()
        await asyncio.sleep(self.draw.uniform(least, most) / 1_000)


async def _anywhere(scene: Scene) -> None:
    await asyncio.sleep(scene.draw.uniform(0, 0.8))


async def _receiving(scene: Scene) -> None:
    """Half a request is there, the other half never comes."""
    await asyncio.sleep(scene.draw.uniform(0, 0.2))
    _, writer = await asyncio.open_connection("127.0.0.1", scene.service.port)
    head = f"POST /webhook/default HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {BEARER}\r\n"
    writer.write(f'{head}Content-Length: 5000\r\n\r\n[{{"type": "track",'.encode())
    await writer.drain()
    await asyncio.sleep(scene.draw.uniform(0, 0.02))
    writer.close()


async def _committing(scene: Scene) -> None:
    await scene.after(scene.segment.posting, 0, 15)


async def _answering(scene: Scene) -> None:
    await scene.after(scene.segment.posted, 0, 3)


async def _claiming(scene: Scene) -> None:
    """What is new waits a tenth of a second for others, and is claimed then."""
    await scene.after(scene.segment.posted, 90, 130)


async def _sending(scene: Scene) -> None:
    await scene.after(scene.pauses.arrived, 0, 30)


async def _settling(scene: Scene) -> None:
    await scene.after(scene.pauses.answered, 0, 15)


async def _stopping(scene: Scene) -> None:
    await asyncio.sleep(scene.draw.uniform(0, 0.4))
    assert scene.service.process is not None
    scene.service.process.terminate()
    await asyncio.sleep(scene.draw.uniform(0, 0.4))


async def _starting(scene: Scene) -> None:
    """Before it was ready: while it imports, looks through the database, or brings it in order."""
    await scene.service.kill()
    await scene.service.spawn()
    await asyncio.sleep(scene.draw.uniform(0, scene.service.slowest_start))


_POINTS: Mapping[str, Callable[[Scene], Awaitable[None]]] = {
    "sending": _sending,
    "committing": _committing,
    "starting": _starting,
    "settling": _settling,
    "receiving": _receiving,
    "claiming": _claiming,
    "stopping": _stopping,
    "answering": _answering,
    "anywhere": _anywhere,
}


@pytest.mark.slow
async def test_what_was_acknowledged_arrives_once_however_often_it_is_killed(
    tmp_path: Path, report: Report
) -> None:
    kills = size_of(quick=3, short=18, full=108)
    draw = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    points = [list(_POINTS)[number % len(_POINTS)] for number in range(kills)]
    shop = Shop(_SEED)
    sandbox, pauses = slow_sandbox(_SEED)
    in_flight = 0
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        segment = Segment(shop, service)
        for point in points:
            await service.start()
            pressing = asyncio.create_task(segment.press())
            await _POINTS[point](Scene(service, segment, pauses, draw))
            in_flight += pauses.in_flight > 0
            await service.kill()
            await pressing
        await service.start()
        await drained(shop, sandbox)
        status, _ = await service.stop()
    verdict = shop.verdict(sandbox)
    spread = ", ".join(f"{count} {point}" for point, count in Counter(points).items())
    copies = sum(one.copies for one in sandbox.ledger.conversions())
    report(
        1,
        f"kill -9 x{kills} ({spread}; {in_flight} met a request in flight, {copies} copies sent): "
        f"{verdict}; slowest start {service.slowest_start:.1f} s",
    )
    assert status == 0
    assert verdict.is_flawless
    assert verdict.acknowledged > 10 * kills, "the load was real"
    assert in_flight > 0 or kills < len(_POINTS), "kills met requests on their way"

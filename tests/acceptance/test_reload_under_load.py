"""Reloads and rollbacks of a real process under load: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from conversion_relay.sandbox import Sandbox, running
from faults.process import Segment, Service, Shop, drained, end_all, slow_sandbox, until
from support.running import ADMIN

_SEED = 20261122
_SWAPS = 6
_KILLS = 3
_SIGNALS = 25
TOML = """
[sources.default]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
rate_limit = {rate}
{source}
[destinations.tiktok]
pixel_code = "{pixel}"
access_token = "env:TIKTOK_ACCESS_TOKEN"
api_url = "{api_url}"
max_requests_in_flight = {requests}
{mappings}
"""
_OWN = 'mappings = "own.json"'
_SOURCE = '[sources.other]\nwrite_keys = ["env:RELAY_BEARER_TOKEN_2"]\ndestinations = []'
PRESETS = Path(__file__).resolve().parents[2] / "presets" / "tiktok-conversions.json"


@dataclass(slots=True)
class Swapping:
    """A process under load, and its files."""

    service: Service
    shop: Shop
    sandbox: Sandbox
    folder: Path
    swaps: int = 0

    def write(self) -> None:
        """Another configuration: pixel, mappings, sources and limits change in turn."""
        number, self.swaps = self.swaps, self.swaps + 1
        toml = TOML.format(
            api_url=self.service.api_url,
            pixel=f"PIXEL-{number}",
            requests=2 + number % 3,
            rate=50_000 + number,
            mappings=_OWN if number % 2 else "",
            source=_SOURCE if number % 3 else "",
        )
        new = self.folder / "new"
        new.write_text(toml)
        new.replace(self.folder / "relay.toml")

    async def adopted(self) -> None:
        """Comes back once what was written last runs."""
        pixel = f"PIXEL-{self.swaps - 1}"
        await until(lambda: self._sent_to(pixel), 20, f"{pixel} gets events")

    def _sent_to(self, pixel: str) -> bool:
        return any(one.event_source_id == pixel for one in self.sandbox.ledger.conversions())

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self.service.process is not None
        self.service.process.send_signal(signal.SIGHUP)

    async def ask(self, path: str, **form: object) -> httpx.Response:
        """What an admin path answers."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            headers = {"Authorization": f"Bearer {ADMIN}"}
            return await client.post(f"{self.service.url}{path}", json=form, headers=headers)


@asynccontextmanager
async def _swapping(folder: Path) -> AsyncIterator[Swapping]:
    shop = Shop(_SEED)
    sandbox, _ = slow_sandbox(_SEED)
    (folder / "own.json").write_bytes(PRESETS.read_bytes())
    async with running(sandbox) as api_url:
        changes = {
            "RELAY_CONFIG": str(folder / "relay.toml"),
            "RELAY_BEARER_TOKEN_2": "another",
            "RELAY_TRIAL_EVENTS": "50",
        }
        service = Service(folder, api_url, changes=changes)
        swapping = Swapping(service, shop, sandbox, folder)
        swapping.write()
        await service.start()
        try:
            yield swapping
        finally:
            await end_all()


async def _end_well(swapping: Swapping) -> None:
    """Everything that was acknowledged is counted once."""
    await drained(swapping.shop, swapping.sandbox)
    status, _ = await swapping.service.stop()
    verdict = swapping.shop.verdict(swapping.sandbox)
    assert verdict.is_flawless, str(verdict)
    assert verdict.acknowledged > 200, "the load was real"
    assert status == 0
    events = [line["event"] for line in swapping.service.lines()]
    assert "delivery.broken" not in events
    assert "configuration.not_reloaded" not in events


@pytest.mark.slow
async def test_swaps_and_rollbacks_under_load_lose_nothing(tmp_path: Path) -> None:
    async with _swapping(tmp_path) as swapping:
        pressing = asyncio.create_task(Segment(swapping.shop, swapping.service).press())
        for _ in range(_SWAPS):
            swapping.write()
            for _ in range(_SIGNALS):
                swapping.hang_up()
                await asyncio.sleep(0.005)
            await swapping.adopted()
        for number in (1, 3, 2):
            answer = await swapping.ask("/api/config/rollback", version=number)
            assert answer.json()["result"] == "adopted", answer.text
        swapping.write()
        assert (await swapping.ask("/api/config/reload")).json()["result"] == "adopted"
        await swapping.adopted()
        pressing.cancel()
        await asyncio.wait([pressing])
        await _end_well(swapping)


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_swap_loses_nothing(tmp_path: Path) -> None:
    draw = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    async with _swapping(tmp_path) as swapping:
        for _ in range(_KILLS):
            pressing = asyncio.create_task(Segment(swapping.shop, swapping.service).press())
            await until(lambda: len(swapping.shop.acknowledged) > 0, 20, "it takes events")
            await asyncio.sleep(0.3)
            swapping.write()
            swapping.hang_up()
            await asyncio.sleep(draw.uniform(0, 0.4))
            await swapping.service.kill()
            await pressing
            await swapping.service.start()
        segment = Segment(swapping.shop, swapping.service)
        await segment.post_all(200)
        while swapping.shop.again:
            async with segment.client() as client:
                await segment.post(client, swapping.shop.again.popleft())
        await _end_well(swapping)

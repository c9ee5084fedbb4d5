"""The canary through the whole service: its own socket, its store, its worker, the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from conversion_relay.sandbox import parse_fault
from conversion_relay.service.canary.event import PATH
from conversion_relay.service.canary.standing import CanaryStanding
from support.events import order
from support.running import BEARER, World, bodies, world
from support.serving import serving

CODE = {"TIKTOK_CANARY_TEST_EVENT_CODE": "CANARY1"}
OFTEN = {"RELAY_CANARY_INTERVAL": "5s"}


@dataclass
class Flying:
    """A service whose canary flies."""

    world: World

    @property
    def standing(self) -> CanaryStanding:
        """Of the only destination."""
        return self.world.relay.canaries()["tiktok"]

    async def until(self, condition: Callable[[CanaryStanding], bool]) -> CanaryStanding:
        """How it fares once it does so."""
        async with asyncio.timeout(60):
            while not ("tiktok" in self.world.relay.canaries() and condition(self.standing)):  # noqa: ASYNC110 - another program
                await asyncio.sleep(0.02)
        return self.standing


@asynccontextmanager
async def _flying(folder: Path, fault: str | None = None, **changes: str) -> AsyncIterator[Flying]:
    async with (
        world(folder, None, None, **changes) as running,
        serving(running.relay.http) as address,
    ):
        running.sandbox.faults.switch_on([parse_fault(fault)] if fault else [])
        canary = running.relay.canary
        assert canary is not None
        canary.deadline = timedelta(seconds=2)
        task = asyncio.create_task(canary.run_at(address))
        try:
            yield Flying(running)
        finally:
            task.cancel()
            await asyncio.wait([task])


def _succeeded(standing: CanaryStanding) -> bool:
    return standing.last_success_at is not None


def _failed(standing: CanaryStanding) -> bool:
    return standing.failures > 0


async def test_it_goes_the_whole_way(tmp_path: Path) -> None:
    async with _flying(tmp_path, **CODE) as flying:
        standing = await flying.until(_succeeded)
        assert not standing.stops_before_tiktok
        (request,) = flying.world.sandbox.journal.latest(10)
        assert request["test_event_code"] == "CANARY1"
        (element,) = bodies(flying.world.sandbox)
        assert element["event"] == "ViewContent"
        assert str(element["event_id"]).startswith("canary-")


async def test_real_events_do_not_carry_its_code(tmp_path: Path) -> None:
    async with _flying(tmp_path, **CODE) as flying:
        await flying.until(_succeeded)
        assert (await flying.world.post(order("m-1"))).status_code == 200
        await flying.world.settled()
        codes = [one["test_event_code"] for one in flying.world.sandbox.journal.latest(10)]
        assert codes == ["CANARY1", None]


async def test_without_a_test_code_nothing_is_sent_to_tiktok(tmp_path: Path) -> None:
    async with _flying(tmp_path) as flying:
        standing = await flying.until(_succeeded)
        assert standing.stops_before_tiktok
        assert not flying.world.sandbox.journal.latest(10)
        assert "canary.stops_before_tiktok" in flying.world.log.events


@pytest.mark.parametrize("bearer", [None, BEARER, "", "~canary"])
async def test_nobody_else_may_post_as_the_canary(tmp_path: Path, bearer: str | None) -> None:
    async with world(tmp_path, None, None, **CODE) as running:
        answer = await running.post(order("m-1"), bearer=bearer, path=PATH)
        assert answer.status_code == 401
        assert not (await running.relay.store.totals()).events


async def test_an_unknown_event_of_its_source_leads_nowhere(tmp_path: Path) -> None:
    """Only what the canary's mapping knows goes out under its code."""
    async with _flying(tmp_path, **CODE) as flying:
        await flying.until(_succeeded)
        (element,) = bodies(flying.world.sandbox)
        assert orjson.dumps(element["user"]) == b'{"external_id":["%s"]}' % (b"0" * 64)


async def test_a_revoked_token_is_found_and_said(tmp_path: Path) -> None:
    async with _flying(tmp_path, **CODE, **OFTEN, TIKTOK_ACCESS_TOKEN="revoked") as flying:
        standing = await flying.until(_failed)
        assert standing.reason is not None
        assert "the lane is held: " in standing.reason
        assert "revoked" not in standing.reason
        assert standing.last_success_at is None
        kept = (await flying.world.relay.store.totals()).events
        assert sum(kept.values()) == 1  # the next one waits for this one


async def test_a_webhook_that_cannot_keep_anything_is_found_and_said(tmp_path: Path) -> None:
    async with _flying(tmp_path, **CODE, **OFTEN) as flying:
        await flying.until(_succeeded)
        await flying.world.relay.store.close()
        standing = await flying.until(_failed)
        assert standing.reason is not None
        assert standing.reason.startswith(("the webhook answered with status 503", "the store"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [("server_error=503", "503"), ("timeout=60", "nothing was answered"), ("code=40002", "40002")],
)
async def test_a_tiktok_that_fails_is_found_and_said_and_seen_once_it_is_back(
    tmp_path: Path, fault: str, said: str
) -> None:
    async with _flying(tmp_path, fault, **CODE, **OFTEN) as flying:
        standing = await flying.until(_failed)
        assert standing.reason is not None
        assert said in standing.reason
        if fault.startswith("timeout"):
            return  # who hangs is waited for longer than a test may take
        flying.world.sandbox.faults.switch_off()
        await flying.world.settled_by_an_operator()
        standing = await flying.until(_succeeded)
        assert standing.failures == 0

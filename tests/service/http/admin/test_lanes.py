"""The admin paths of lanes, against the whole service and a sandbox that revokes the token."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from conversion_relay.sandbox import parse_fault
from support.events import order
from support.running import ADMIN, World, world

_HEADERS = {"Authorization": f"Bearer {ADMIN}"}


async def _lane(service: World) -> dict[str, object]:
    answer = await service.client.get("/api/lanes", headers=_HEADERS)
    (lane,) = answer.raise_for_status().json()
    assert isinstance(lane, dict)
    return lane


async def _until(service: World, condition: str) -> dict[str, object]:
    async with asyncio.timeout(20):
        while (lane := await _lane(service))["condition"] != condition:  # noqa: ASYNC110 - of a worker
            await asyncio.sleep(0.01)
    return lane


async def test_a_held_lane_is_shown_and_resumed_by_an_operator(tmp_path: Path) -> None:
    async with world(tmp_path) as service:
        assert (await _lane(service))["condition"] == "flowing"
        service.sandbox.faults.switch_on([parse_fault("token_revoked")])
        await service.post(order("m-1"))
        held = await _until(service, "held")
        assert held["destination"] == "tiktok"
        assert str(held["reason"]).startswith("code 40105")
        assert str((await service.status())["deliveries"]) == "{'tiktok': {'held': 1}}"
        service.sandbox.faults.switch_off()
        asked = await service.client.post("/api/lanes/tiktok/resume", headers=_HEADERS)
        assert asked.json()["destination"] == "tiktok"
        await _until(service, "flowing")
        assert [one.event_id for one in await service.settled()] == ["m-1"]
    assert [event for event in service.log.events if event.startswith("lane.")] == [
        *("lane.held", "lane.resumed", "lane.flowing")
    ]


async def test_a_lane_nobody_configured(tmp_path: Path) -> None:
    async with world(tmp_path) as service:
        answer = await service.client.post("/api/lanes/nobody/resume", headers=_HEADERS)
        assert answer.status_code == httpx.codes.NOT_FOUND
        unguarded = await service.client.get("/api/lanes")
        assert unguarded.status_code == httpx.codes.UNAUTHORIZED

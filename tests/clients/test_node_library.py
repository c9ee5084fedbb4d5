"""Segment's own client for Node: itself where it is installed, and requests recorded from it.

`make clients` installs it. Each recorded line is a request as it came: headers and body.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest

from conversion_relay.errors import StoreBusy
from support.running import World, world
from support.serving import serving
from support.tracking import KEY as TOY_KEY
from support.tracking import Door

HERE = Path(__file__).parent
KEY = "node-key"
_NODE = shutil.which("node")
_PACKAGES = HERE.parents[1] / ".venv" / "clients" / "node_modules"


def _missing() -> str:
    """Why the client itself cannot be run here."""
    if _NODE is None:
        return "node is not installed"
    return (
        ""
        if (_PACKAGES / "@segment" / "analytics-node").exists()
        else "the client is not installed: make clients"
    )


needs_node = pytest.mark.skipif(bool(_missing()), reason=_missing() or "-")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, SEGMENT_WRITE_KEY=KEY) as one:
        yield one


async def _send(url: str, key: str, count: int) -> dict[str, object]:
    """What the client tells after it sent so many events."""
    assert _NODE is not None
    command = (_NODE, str(HERE / "send.cjs"), url, key, str(count))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=PIPE, env={**os.environ, "NODE_PATH": str(_PACKAGES)}
    )
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    told: dict[str, object] = orjson.loads(output.splitlines()[-1])
    return told


@needs_node
@pytest.mark.slow
async def test_every_event_is_one_conversion(here: World) -> None:
    async with serving(here.relay.http) as url:
        assert await _send(url, KEY, 35) == {"sent": 35, "failed": []}
    conversions = await here.settled()
    assert sorted(str(one.event_id) for one in conversions) == sorted(
        f"node-{n}" for n in range(35)
    )
    assert all(one.copies == 0 for one in conversions)


@needs_node
@pytest.mark.slow
async def test_a_wrong_key_is_a_clear_error_at_once(here: World) -> None:
    async with serving(here.relay.http) as url:
        told = await _send(url, "wrong-key", 1)
    assert told["sent"] == 0
    assert "401" in str(told["failed"])
    assert here.log.events.count("tracking.refused") == 1, "it is not tried again"


@needs_node
@pytest.mark.slow
async def test_what_the_service_had_no_room_for_comes_again() -> None:
    door = Door()
    door.store.error = StoreBusy("full")
    async with serving(door.application) as url:
        sending = asyncio.create_task(_send(url, TOY_KEY, 12))
        async with asyncio.timeout(30):
            while "tracking.refused" not in door.log.events:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        door.store.error = None
        assert await sending == {"sent": 12, "failed": []}
    assert sorted(one.message_id for one in door.store.kept) == sorted(
        f"node-{n}" for n in range(12)
    )


def _recorded() -> Sequence[dict[str, object]]:
    lines = (HERE / "recorded" / "analytics_node.ndjson").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines]


async def test_requests_recorded_from_it(here: World) -> None:
    for request in _recorded():
        headers, body = request["headers"], request["body"]
        assert isinstance(headers, dict)
        assert isinstance(body, str)
        answer = await here.client.post(str(request["path"]), content=body, headers=headers)
        assert answer.json() == {"success": True}
    conversions = await here.settled()
    assert sorted(str(one.event_id) for one in conversions) == sorted(
        f"node-{n}" for n in range(12)
    )
    assert all(one.copies == 0 for one in conversions)

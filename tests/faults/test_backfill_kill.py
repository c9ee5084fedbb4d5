"""A backfill under kill -9, run again until it is through: every event arrives, and only once."""

from __future__ import annotations

import asyncio
import itertools
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from support.events import order
from support.ports import free_port
from support.running import environment

_EVENTS = 4_000
_KILLS = 2
_SECONDS = 60


async def _start(variables: dict[str, str], *arguments: str) -> Process:
    command = [sys.executable, "-m", "conversion_relay", *arguments]
    return await create_subprocess_exec(*command, env=variables, stderr=DEVNULL, stdout=PIPE)


async def _until_ready(service: Process, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
        asyncio.timeout(_SECONDS),
    ):
        while True:
            assert service.returncode is None
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def _lines_done(progress: Path) -> int:
    try:
        return int(orjson.loads(progress.read_bytes())["lines_done"])
    except FileNotFoundError:
        return 0


async def _killed_in_the_middle(variables: dict[str, str], file: Path) -> int:
    """Runs it until it is further than before, and ends it; gives the lines that were done."""
    progress = file.with_name(f"{file.name}.backfill")
    before = _lines_done(progress)
    process = await _start(variables, "backfill", str(file))
    async with asyncio.timeout(_SECONDS):
        while _lines_done(progress) <= before:
            assert process.returncode is None, "it must not be through before it is killed"
            await asyncio.sleep(0.005)
    process.kill()
    await process.communicate()
    assert process.returncode == -9
    return _lines_done(progress)


@pytest.mark.slow
async def test_a_backfill_that_is_killed_and_run_again_counts_every_event_once(
    tmp_path: Path,
) -> None:
    ticks = itertools.count(1_795_000_000)
    sandbox = create_sandbox(
        clock=lambda: next(ticks) / 1000, access_tokens=frozenset({"access-token"})
    )
    now = datetime.now(UTC).isoformat()  # noqa: TID251 - the processes have a real clock
    expected = {f"m-{number}" for number in range(_EVENTS)}
    file = tmp_path / "events.ndjson"
    events = (orjson.dumps(order(name, timestamp=now)) for name in sorted(expected))
    file.write_bytes(b"\n".join(events))
    async with running_sandbox(sandbox) as api_url:
        port = free_port()
        variables = environment(tmp_path, api_url, RELAY_PORT=str(port))
        service = await _start(variables, "serve")
        await _until_ready(service, port)
        positions = [await _killed_in_the_middle(variables, file) for _ in range(_KILLS)]
        last = await _start(variables, "backfill", str(file))
        output, _ = await last.communicate()
        assert last.returncode == 0, output.decode()
        async with asyncio.timeout(_SECONDS):
            while len(sandbox.ledger.conversions()) < _EVENTS:  # noqa: ASYNC110 - other programs
                await asyncio.sleep(0.1)
        service.terminate()
        await service.communicate()
    conversions = sandbox.ledger.conversions()
    assert 0 < positions[0] < positions[1] < _EVENTS, "both ended it in the middle"
    assert {str(one.event_id) for one in conversions} == expected
    assert len(conversions) == _EVENTS, "no event counts twice"
    assert all(one.copies == 0 for one in conversions), "none was even sent twice"
    assert not file.with_name("events.ndjson.backfill").exists()

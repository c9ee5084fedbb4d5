"""The whole service under kill -9: what it acknowledged arrives once, and nothing else does.

One side is what the client was told is kept, the other the ledger of the sandbox (48-hour rule).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from support.events import order, signature
from support.ports import free_port
from support.running import BEARER, SECRET, environment

_SEED = 20261121
_KILLS = 4
_ROUND_SECONDS = 30


async def _start(variables: dict[str, str], client: httpx.AsyncClient) -> Process:
    command = [sys.executable, "-m", "conversion_relay", "serve"]
    process = await create_subprocess_exec(*command, env=variables, stderr=DEVNULL)
    async with asyncio.timeout(_ROUND_SECONDS):
        while True:
            assert process.returncode is None, "the service must start again by itself"
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return process
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def _post_until_killed(
    client: httpx.AsyncClient, ids: Iterator[str], acknowledged: set[str]
) -> None:
    """Posts batches as Segment does, and again what was not acknowledged."""
    while True:
        names = list(itertools.islice(ids, 20))
        body = [order(name) for name in names]
        headers = {
            "X-Signature": signature(SECRET, orjson.dumps(body[0])),
            "Authorization": f"Bearer {BEARER}",
        }
        try:
            answer = await client.post(
                "/webhook/default", content=orjson.dumps(body), headers=headers
            )
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            acknowledged.update(names)


@pytest.mark.slow
async def test_what_was_acknowledged_arrives_once_however_often_it_is_killed(
    tmp_path: Path,
) -> None:
    rng = random.Random(_SEED)  # noqa: S311 - a seeded test
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    ids = (f"m-{number}" for number in itertools.count())
    acknowledged: set[str] = set()
    async with running_sandbox(sandbox) as api_url:
        port = free_port()
        variables = environment(tmp_path, api_url, RELAY_PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
            for _ in range(_KILLS):
                process = await _start(variables, client)
                posting = [
                    asyncio.create_task(_post_until_killed(client, ids, acknowledged))
                    for _ in range(4)
                ]
                await asyncio.sleep(rng.uniform(0.2, 0.8))
                process.kill()
                await process.wait()
                await asyncio.gather(*posting)
            process = await _start(variables, client)
            async with asyncio.timeout(_ROUND_SECONDS):
                while missing := acknowledged - _arrived(sandbox.ledger.conversions()):
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
            process.terminate()
            assert await process.wait() == 0
    conversions = sandbox.ledger.conversions()
    assert not missing
    assert len(acknowledged) > 200, "the load was real"
    assert len(conversions) == len(_arrived(conversions)), "no event counts twice"
    assert all(one.altered_copies == 0 for one in conversions), "a copy is the same bytes"
    posted = next(ids)
    assert all(int(str(one.event_id)[2:]) < int(posted[2:]) for one in conversions)


def _arrived(conversions: object) -> set[str]:
    assert isinstance(conversions, tuple)
    return {str(one.event_id) for one in conversions}

"""A service moves from SQLite to PostgreSQL half of its events delivered: each counts once."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from support.events import order, signature
from support.lines import Lines
from support.postgres import new_database
from support.running import BEARER, SECRET, environment

KEY = base64.b64encode(bytes(range(32))).decode()


@asynccontextmanager
async def service(variables: dict[str, str]) -> AsyncIterator[tuple[Relay, httpx.AsyncClient]]:
    async with open_relay(load(variables), Lines()) as relay:
        transport = httpx.ASGITransport(app=relay.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            yield relay, client


async def post(client: httpx.AsyncClient, message_ids: list[str]) -> dict[str, int]:
    events = [order(name) for name in message_ids]
    answer = await client.post(
        "/webhook/default",
        content=orjson.dumps(events),
        headers={
            "Content-Type": "application/json",
            "X-Signature": signature(SECRET, orjson.dumps(events[0])),
            "Authorization": f"Bearer {BEARER}",
        },
    )
    found: dict[str, int] = answer.raise_for_status().json()
    return found


async def delivered(relay: Relay, count: int) -> None:
    """Waits until so many deliveries are."""
    async with asyncio.timeout(30):
        while True:
            totals = await relay.store.totals()
            if totals.deliveries.get(("tiktok", State.DELIVERED), 0) >= count:
                return
            await asyncio.sleep(0.02)


def run(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "conversion_relay", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def move(old: dict[str, str], new: dict[str, str]) -> None:
    """Counts, moves, and finds the old one closed."""
    database = new["RELAY_DATABASE_URL"]
    ends = ("move", "--from", old["RELAY_DATABASE_URL"], "--to", database)
    counted = run(new, *ends, "--dry-run")
    assert (counted.returncode, counted.stderr) == (0, "")
    assert "15  deliveries, tiktok, pending" in counted.stdout
    moved = run(new, *ends)
    assert (moved.returncode, moved.stderr) == (0, "")
    assert "15  deliveries, tiktok, delivered" in moved.stdout
    refused = run(old, "status")
    assert refused.returncode == 2
    assert f"this database was moved to {database}" in refused.stderr


async def test_a_service_moves_with_half_of_its_events_delivered(tmp_path: Path) -> None:
    database = await asyncio.to_thread(new_database)
    sandbox = create_sandbox(
        clock=lambda: now().timestamp(), access_tokens=frozenset({"access-token"})
    )
    first = [f"first-{number}" for number in range(15)]
    second = [f"second-{number}" for number in range(15)]
    async with running_sandbox(sandbox) as api_url:
        old = environment(tmp_path, api_url)
        new = old | {
            "RELAY_DATABASE_URL": database,
            "RELAY_WEAK_DURABILITY": "true",
            "RELAY_ENCRYPTION_KEY": KEY,
        }
        async with service(old) as (relay, client):
            async with relay.delivering():
                await post(client, first)
                await delivered(relay, len(first))
            await post(client, second)
        await asyncio.to_thread(move, old, new)
        async with service(new) as (relay, client), relay.delivering():
            await delivered(relay, len(first) + len(second))
            copies = await post(client, [*first, *second])
            assert (copies["accepted"], copies["duplicates"]) == (0, 30)
            await post(client, ["new"])
            await delivered(relay, 31)
    counts = Counter(one.event_id for one in sandbox.ledger.conversions())
    assert counts == Counter(dict.fromkeys([*first, *second, "new"], 1))
    assert sum(one.copies for one in sandbox.ledger.conversions()) == 0

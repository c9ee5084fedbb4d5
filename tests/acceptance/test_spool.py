"""PostgreSQL is killed under a node with a spool: every answer is 200, each event counts once."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from support.events import order, signature
from support.lines import Lines
from support.postgres import fresh_database, server
from support.running import SECRET, environment

KEY = base64.b64encode(bytes(range(32))).decode()


@asynccontextmanager
async def service(variables: dict[str, str]) -> AsyncIterator[tuple[Relay, httpx.AsyncClient]]:
    async with open_relay(load(variables), Lines()) as relay, relay.delivering():
        transport = httpx.ASGITransport(app=relay.http)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://relay", timeout=30
        ) as client:
            yield relay, client


async def post(client: httpx.AsyncClient, message_id: str) -> int:
    content = orjson.dumps(order(message_id))
    headers = {"Content-Type": "application/json", "X-Signature": signature(SECRET, content)}
    answer = await client.post("/webhook/default", content=content, headers=headers)
    return answer.status_code


async def delivered(relay: Relay, count: int) -> None:
    """Waits until so many deliveries are."""
    async with asyncio.timeout(40):
        while True:
            totals = await relay.store.totals()
            if totals.deliveries.get(("tiktok", State.DELIVERED), 0) >= count:
                return
            await asyncio.sleep(0.05)


async def test_events_are_taken_while_the_database_is_away(tmp_path: Path) -> None:
    tokens = frozenset({"access-token"})
    sandbox = create_sandbox(clock=lambda: now().timestamp(), access_tokens=tokens)
    with server(durable=True) as database:
        url = await asyncio.to_thread(fresh_database, database)
        async with running_sandbox(sandbox) as api_url:
            variables = environment(
                tmp_path,
                api_url,
                RELAY_DATABASE_URL=url,
                RELAY_ENCRYPTION_KEY=KEY,
                RELAY_SPOOL=str(tmp_path / "spool.db"),
            )
            async with service(variables) as (relay, client):
                assert await post(client, "before") == 200
                database.kill()
                sent = [f"away-{number}" for number in range(20)]
                assert [await post(client, name) for name in [*sent, "before"]] == [200] * 21
                ready = await client.get("/readyz")
                assert ready.status_code == 200
                assert "are kept in the spool, where 21 wait" in ready.json()["note"]
                await asyncio.to_thread(database.start)
                await delivered(relay, 21)
                assert await post(client, "away-3") == 200
                assert (await client.get("/readyz")).json() == {"status": "ready"}
    counts = Counter(one.event_id for one in sandbox.ledger.conversions())
    assert counts == Counter(dict.fromkeys(["before", *sent], 1))


def test_a_spool_beside_an_embedded_database_is_refused(tmp_path: Path) -> None:
    variables = environment(tmp_path, "http://127.0.0.1:9", RELAY_SPOOL="spool.db")
    with pytest.raises(ConfigurationError, match="RELAY_SPOOL: needs postgresql://"):
        load(variables)

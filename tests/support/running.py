"""The whole service in one event loop, and a sandbox on a real socket beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from conversion_relay.core.values import Json
from conversion_relay.sandbox import Conversion, Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from support.events import signature
from support.lines import Lines

SECRET, BEARER, ADMIN = "shared-secret", "bearer-token", "admin-token"
_SETTLED_WITHIN_SECONDS = 30


def environment(folder: Path, api_url: str, **changes: str) -> dict[str, str]:
    """What configures the service under test."""
    return {
        "TIKTOK_ACCESS_TOKEN": "access-token",
        "TIKTOK_PIXEL_CODE": "PIXEL",
        "TIKTOK_API_URL": api_url,
        "SEGMENT_SHARED_SECRET": SECRET,
        "RELAY_BEARER_TOKEN": BEARER,
        "RELAY_ADMIN_TOKEN": ADMIN,
        "RELAY_DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
    } | changes


@dataclass(frozen=True, slots=True)
class World:
    """The service, the sandbox that judges it, a client, and the service's log."""

    relay: Relay
    sandbox: Sandbox
    client: httpx.AsyncClient
    log: Lines

    async def post(
        self,
        body: Json | bytes,
        *,
        secret: str | None = SECRET,
        bearer: str | None = BEARER,
        path: str = "/webhook/default",
    ) -> httpx.Response:
        """Posts as Segment does: signed over the event, or over the first of a batch."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": "application/json", "User-Agent": "Segment (Actions)"}
        if secret is not None:
            signed = orjson.dumps(body[0]) if isinstance(body, list) and body else raw
            headers["X-Signature"] = signature(secret, signed)
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        return await self.client.post(path, content=raw, headers=headers)

    async def status(self) -> dict[str, dict[str, int]]:
        """What the admin path says is kept."""
        answer = await self.client.get("/api/status", headers={"Authorization": f"Bearer {ADMIN}"})
        shown: dict[str, dict[str, int]] = answer.raise_for_status().json()
        return shown

    async def settled(self) -> Sequence[Conversion]:
        """The sandbox's ledger once nothing is on its way any more."""
        async with asyncio.timeout(_SETTLED_WITHIN_SECONDS):
            while await self._waiting():  # noqa: ASYNC110 - the other side is another program
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)  # the worker logs and counts what it settled last
        return self.sandbox.ledger.conversions()

    async def settled_by_an_operator(self) -> Sequence[Conversion]:
        """The same, with somebody who has every lane tried again as soon as it stops."""
        async with asyncio.timeout(_SETTLED_WITHIN_SECONDS):
            while await self._waiting():
                for worker in self.relay.workers.values():
                    await worker.resume()
                await asyncio.sleep(0.02)
        return self.sandbox.ledger.conversions()

    async def _waiting(self) -> bool:
        totals = await self.relay.store.totals()
        return any(
            count
            for (_, state), count in totals.deliveries.items()
            if state.value in {"pending", "claimed", "held"}
        )


@asynccontextmanager
async def world(
    folder: Path,
    clock: Callable[[], float] | None = None,
    toml: str | None = None,
    **changes: str,
) -> AsyncIterator[World]:
    """Service and sandbox, both running; `changes` are environment variables.

    A `toml` is the configuration file; in it, SANDBOX stands for the address of the sandbox.
    """
    ticks = itertools.count(1_795_000_000)
    sandbox = create_sandbox(
        clock=clock or (lambda: float(next(ticks)) / 1000),
        access_tokens=frozenset({"access-token"}),
    )
    log = Lines()
    async with running_sandbox(sandbox) as api_url:
        if toml is not None:
            file = folder / "relay.toml"
            file.write_text(toml.replace("SANDBOX", api_url))
            changes = {**changes, "RELAY_CONFIG": str(file)}
        configuration = load(environment(folder, api_url, **changes))
        async with open_relay(configuration, log) as relay, relay.delivering():
            transport = httpx.ASGITransport(app=relay.http)
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                yield World(relay, sandbox, client, log)


def bodies(sandbox: Sandbox) -> list[Mapping[str, Json]]:
    """Every element of `data[]` the sandbox was sent, in order."""
    found: list[Mapping[str, Json]] = []
    for request in sandbox.journal.latest(1000):
        content = request["body"]
        if isinstance(content, dict) and isinstance(content["data"], list):
            found.extend(one for one in content["data"] if isinstance(one, dict))
    return found

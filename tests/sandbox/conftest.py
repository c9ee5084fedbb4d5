"""A sandbox under an injected clock, and a client that speaks to it in-process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest

from conversion_relay.sandbox import TRACK_PATH, Sandbox, create_sandbox, parse_fault
from sandbox.bodies import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conversion_relay.sandbox.answers import Json


@dataclass
class Stage:
    """The sandbox, its time, and what its faults waited for."""

    client: httpx.AsyncClient
    sandbox: Sandbox
    time: Time

    async def post(self, body: Json, **headers: str) -> httpx.Response:
        """Posts a body with the right token."""
        sent = {"Content-Type": "application/json", "Access-Token": "secret-token", **headers}
        return await self.client.post(TRACK_PATH, content=orjson.dumps(body), headers=sent)

    async def code_and_message(self, body: Json) -> tuple[int, str]:
        """Posts a body; the code and message of an answer that has HTTP status 200."""
        response = await self.post(body)
        assert response.status_code == 200
        answer = response.json()
        return answer["code"], answer["message"]

    def switch_on(self, *faults: str) -> None:
        """Adds faults as the command line spells them."""
        self.sandbox.faults.switch_on(parse_fault(fault) for fault in faults)

    def copies(self) -> dict[str | None, int]:
        """The copies of each conversion, by event_id."""
        return {one.event_id: one.copies for one in self.sandbox.ledger.conversions()}

    async def last_request(self) -> dict[str, Json]:
        """What the journal says about the latest request."""
        response = await self.client.get("/__sandbox/requests", params={"limit": 1})
        entry: dict[str, Json] = response.json()["requests"][0]
        return entry


@dataclass
class Time:
    """A clock that stands still unless moved; sleeping moves it and is noted."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """The time in Unix seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Passes the time without waiting."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    time = Time()
    tokens = frozenset({"secret-token"})
    sandbox = create_sandbox(clock=time, access_tokens=tokens, sleep=time.sleep)
    transport = httpx.ASGITransport(app=sandbox)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Stage(client, sandbox, time)

"""The commands come again when they are told to, and not for ever."""

from __future__ import annotations

import httpx
import pytest

from conversion_relay.service.patience import Patient


async def answered(refusals: int, retry_after: str = "3") -> tuple[int, list[float], list[bytes]]:
    """The status in the end, the pauses, and each body that arrived."""
    pauses: list[float] = []
    bodies: list[bytes] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    def take(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        busy = len(bodies) <= refusals
        return httpx.Response(429, headers={"Retry-After": retry_after}) if busy else OK

    transport = Patient(httpx.MockTransport(take), pause)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        return (await client.post("/", content=b"{}")).status_code, pauses, bodies


OK = httpx.Response(200)


async def test_it_waits_as_long_as_it_is_told_and_sends_the_same() -> None:
    assert await answered(2) == (200, [3.0, 3.0], [b"{}"] * 3)


@pytest.mark.parametrize(("told", "seconds"), [("", 1.0), ("soon", 1.0), ("9999", 10.0)])
async def test_whatever_it_is_told_it_waits_a_little(told: str, seconds: float) -> None:
    assert (await answered(1, told))[1] == [seconds]


async def test_it_gives_up_in_the_end() -> None:
    status, pauses, _ = await answered(1_000)
    assert status == 429
    assert len(pauses) == 20

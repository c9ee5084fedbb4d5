"""Before a body is read, and while it arrives: the application called as a server calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from support.running import BEARER, World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, RELAY_MAX_BODY_BYTES="200000") as one:
        yield one


async def test_a_body_without_a_length_is_cut_off(here: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 50_000

    # ASGITransport reads a whole body before it is sent, so the endpoint is called by hand.
    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(chunks), "more_body": True}

    chunks = endless()
    assert await _call(here, receive) == 413


async def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async with world(tmp_path, RELAY_RECEIVE_SECONDS="0.02") as here:
        assert await _call(here, receive) == 408


async def test_a_client_that_goes_away_is_no_fault(here: World) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    assert await _call(here, receive) is None
    assert "webhook.client_gone" in here.log.events


async def _call(here: World, receive: object, *headers: tuple[bytes, bytes]) -> int | None:
    """The status the application answers, called as a server calls it."""
    start = await _started(here, receive, (b"authorization", _AUTHORIZATION), *headers)
    if start is None:
        return None
    status: int = start["status"]
    return status


_AUTHORIZATION = f"Bearer {BEARER}".encode()


async def _started(here: World, receive: object, *headers: tuple[bytes, bytes]) -> Message | None:
    """The beginning of the answer."""
    starts: list[Message] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            starts.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook/default",
        "raw_path": b"/webhook/default",
        "query_string": b"",
        "headers": list(headers),
    }
    await here.relay.http(scope, receive, send)  # type: ignore[arg-type]
    return starts[0] if starts else None


async def _unasked() -> Message:
    raise AssertionError("the body was received")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b"Bearer wrong"),),
        ((b"authorization", b"Basic bearer-token"),),
        ((b"x-signature", b"much too short"),),
        ((b"x-signature", b"x" * 40), (b"authorization", _AUTHORIZATION)),
    ],
)
async def test_nothing_is_received_from_those_who_cannot_be_trusted(
    here: World, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    start = await _started(here, _unasked, *headers)
    assert start is not None
    assert start["status"] == 401
    assert (b"connection", b"close") in start["headers"]


@pytest.mark.parametrize(
    ("announced", "status"),
    [
        (b"9" * 5000, 413),
        (b"0" * 5000 + b"200001", 413),
        (b"0" * 5000 + b"2", 200),
        (b"200000", 200),
        (b"-1", 200),
        (b"+2", 200),
        (b"2, 2", 200),
        (b"0x2", 200),
        (b"\xb2", 200),
        (b"", 200),
    ],
)
async def test_an_odd_length_is_no_fault(here: World, announced: bytes, status: int) -> None:
    """What cannot be the length is not believed; what arrives is counted."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"[]"}

    assert await _call(here, receive, (b"content-length", announced)) == status

"""The sender against mocked TikTok endpoints: what came back, and how certain a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import respx

from conversion_relay.core.delivery import TransportFailure, WireResponse
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.service.sender import Sender, SenderLimits

API = "https://business-api.tiktok.com"
NOW = datetime(2026, 10, 21, 7, 27, tzinfo=UTC)
PATH = "/open_api/v1.3/event/track/"
REQUEST = OutgoingRequest(
    "POST", PATH, {"Access-Token": "secret-token", "Content-Type": "application/json"}, b'{"x":1}'
)


@pytest.fixture
def tiktok() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router


async def _send(limits: SenderLimits | None = None) -> object:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with Sender(API, limits or SenderLimits(), lambda: NOW, sleep=sleep) as sender:
        result = await sender.send(REQUEST)
    assert all(pause <= 0.3 for pause in pauses)
    return result


async def test_an_answer_comes_back_with_the_request_as_it_was(tiktok: respx.MockRouter) -> None:
    route = tiktok.post(PATH).respond(200, content=b'{"code":0}')
    assert await _send() == WireResponse(200, b'{"code":0}')
    sent = route.calls.last.request
    assert sent.content == b'{"x":1}'
    assert sent.headers["access-token"] == "secret-token"
    assert str(sent.url) == API + PATH
    assert sent.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 502])
async def test_every_status_is_an_answer(tiktok: respx.MockRouter, status: int) -> None:
    tiktok.post(PATH).respond(status, content=b"<html>", headers={"Location": "http://x.example"})
    assert await _send() == WireResponse(status, b"<html>")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("9" * 40, 999_999_999.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 -0000", 60.0),
        ("Tue, 20 Oct 2026 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
    ],
)
async def test_retry_after_in_seconds(
    tiktok: respx.MockRouter, header: str, seconds: float | None
) -> None:
    tiktok.post(PATH).respond(429, headers={"Retry-After": header})
    answer = await _send()
    assert isinstance(answer, WireResponse)
    assert answer.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("error", "certain", "calls"),
    [
        (httpx.ConnectError, True, 3),
        (httpx.ConnectTimeout, True, 1),
        (httpx.PoolTimeout, True, 1),
        (httpx.ReadTimeout, False, 1),
        (httpx.WriteTimeout, False, 1),
        (httpx.ReadError, False, 1),
        (httpx.WriteError, False, 1),
        (httpx.RemoteProtocolError, False, 1),
    ],
)
async def test_only_a_connection_never_made_is_certain(
    tiktok: respx.MockRouter,
    error: type[httpx.HTTPError],
    certain: bool,
    calls: int,
) -> None:
    route = tiktok.post(PATH).mock(side_effect=error)
    failure = await _send()
    assert isinstance(failure, TransportFailure)
    assert failure.certain is certain
    assert route.call_count == calls, "only a refused connection is tried again in one send"


async def test_a_short_connection_fault_is_ridden_out(tiktok: respx.MockRouter) -> None:
    answers: list[Exception | httpx.Response] = [
        httpx.ConnectError("down"),
        httpx.Response(200, content=b"{}"),
    ]
    tiktok.post(PATH).mock(side_effect=iter(answers))
    assert await _send() == WireResponse(200, b"{}")


class _Endless(httpx.AsyncByteStream):
    """A body without an end."""

    def __init__(self) -> None:
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.given += 1024
            yield b"x" * 1024


async def test_an_answer_is_read_up_to_the_cap(tiktok: respx.MockRouter) -> None:
    body = _Endless()
    tiktok.post(PATH).mock(return_value=httpx.Response(200, stream=body))
    answer = await _send(SenderLimits(max_response_bytes=4096))
    assert answer == WireResponse(200, b"x" * 4096)
    assert body.given < 10_000


async def test_a_compressed_answer_is_not_unpacked(tiktok: respx.MockRouter) -> None:
    headers = {"Content-Encoding": "gzip"}
    tiktok.post(PATH).mock(return_value=httpx.Response(200, stream=_Short(), headers=headers))
    assert await _send() == WireResponse(200, b"\x1f\x8b bomb")


class _Short(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"\x1f\x8b bomb"


async def test_no_answer_in_time_is_an_unknown_outcome(tiktok: respx.MockRouter) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    tiktok.post(PATH).mock(side_effect=never)
    failure = await _send(SenderLimits(total_seconds=0.02))
    assert failure == TransportFailure(certain=False, reason="no answer within 0.02 s")


async def test_nobody_waits_for_the_pool(tiktok: respx.MockRouter) -> None:
    running, most = 0, 0

    async def count(_: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return httpx.Response(200)

    tiktok.post(PATH).mock(side_effect=count)
    async with Sender(API, SenderLimits(max_connections=3), lambda: NOW) as sender:
        await asyncio.gather(*(sender.send(REQUEST) for _ in range(20)))
    assert most <= 3


def test_a_request_shows_neither_token_nor_body() -> None:
    assert "secret-token" not in repr(REQUEST)
    assert "{" not in repr(REQUEST)

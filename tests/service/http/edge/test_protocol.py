"""One connection, over a real socket: deadlines, bounds, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from conversion_relay.service.http.edge.door import Door, DoorLimits
from conversion_relay.service.http.edge.protocol import behind

_GET: Final = b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"
_POST: Final = b"POST / HTTP/1.1\r\nHost: relay\r\n"
_PATIENT: Final = DoorLimits(
    max_header_bytes=4096, receive_seconds=20, head_seconds=20, linger_seconds=0.05
)
_HURRIED: Final = replace(_PATIENT, receive_seconds=0.6, head_seconds=0.3)


@dataclass(slots=True)
class _House:
    """A server with a door, and what its application saw."""

    port: int
    state: ServerState
    away: Counter[str]
    seen: Counter[str] = field(default_factory=Counter)

    async def talk(self, *pieces: bytes) -> bytes:
        """Everything that is answered to these pieces until the server ends the connection."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            with suppress(ConnectionError):
                await writer.drain()
        try:
            async with asyncio.timeout(10):
                return await _read(reader)
        finally:
            writer.transport.abort()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def connected(self, count: int) -> None:
        """Comes back when so many connections are known."""
        async with asyncio.timeout(10):
            while len(self.state.connections) != count:  # noqa: ASYNC110 - the kernel takes its time
                await asyncio.sleep(0.001)


async def _read(reader: asyncio.StreamReader) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            found += piece
    return found


@asynccontextmanager
async def _house(
    limits: DoorLimits = _PATIENT, max_connections: int = 50
) -> AsyncIterator[_House]:
    away: Counter[str] = Counter()
    state = ServerState()
    house = _House(0, state, away)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        house.seen[scope["path"]] += 1
        if scope["path"] != "/early":
            message = await receive()
            while message.get("more_body", False):
                message = await receive()
            house.seen[message["type"]] += 1
        if scope["path"] == "/late":
            await asyncio.sleep(2 * _HURRIED.receive_seconds)
        size = 30_000_000 if scope["path"] == "/large" else 2
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"k" * size})

    door = Door(limits, max_connections, lambda slug: away.update([slug]))
    protocol = behind(door)
    config = uvicorn.Config(application, log_config=None, ws="none", timeout_keep_alive=1)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: protocol(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    house.port = server.sockets[0].getsockname()[1]
    try:
        yield house
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        await house.connected(0)


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def _problem(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    return str(orjson.loads(body)["type"].rpartition(":")[2])


async def test_an_ordinary_request_is_served_and_the_connection_kept() -> None:
    async with _house(_HURRIED) as house:
        reader, writer = await house.connect()
        for _ in range(3):
            writer.write(_POST + b"Content-Length: 2\r\n\r\nab")
            assert (await reader.readuntil(b"\r\n\r\nkk")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.7)  # longer than a request may take: nothing of one is there
        writer.close()
    assert house.seen["/"] == 3
    assert not house.away


@pytest.mark.parametrize(
    ("pieces", "status", "problem"),
    [
        ((_POST + b"X: " + b"a" * 5_000 + b"\r\n\r\n",), 431, "headers-too-large"),
        ((_POST + b"X: " + b"a" * 300_000, b"a" * 300_000), 431, "headers-too-large"),
        ((_POST + b"X: 1\r\n" * 101 + b"\r\n",), 431, "headers-too-large"),
        ((b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n",), 414, "address-too-long"),
        ((b"GET /", b"a" * 3_000, b"a" * 3_000), 414, "address-too-long"),
        ((b"\r\n" * 3_000,), 431, "headers-too-large"),
        ((b"\x16\x03\x01\x02\x00",), 400, "bad-request"),
        ((b"GET / HTTP/9.9\r\n\r\n",), 400, "bad-request"),
        ((_POST + b"Content-Length: x\r\n\r\n",), 400, "bad-request"),
        (
            (_POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",),
            400,
            "bad-request",
        ),
        ((b"GET /\xff\xfe HTTP/1.1\r\n\r\n",), 400, "bad-request"),
        ((b"GET http://relay HTTP/1.1\r\n\r\n",), 400, "bad-request"),
        ((b"CONNECT relay:443 HTTP/1.1\r\n\r\n",), 400, "bad-request"),
        (
            (_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_100),
            400,
            "chunks-too-small",
        ),
        ((_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), 400, "bad-request"),
        (
            (_POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 600_000),
            431,
            "headers-too-large",
        ),
        (
            (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n" * 200),
            431,
            "headers-too-large",
        ),
    ],
)
async def test_what_is_too_large_or_no_http_is_refused(
    pieces: tuple[bytes, ...], status: int, problem: str
) -> None:
    async with _house() as house:
        answer = await house.talk(*pieces)
    assert (_status(answer), _problem(answer)) == (status, problem)
    assert house.away == {problem: 1}


async def test_many_chunks_that_are_not_small_are_served() -> None:
    chunks = (b"100\r\n" + b"x" * 256 + b"\r\n") * 3_000 + b"0\r\n\r\n"
    head = _POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with _house() as house:
        assert _status(await house.talk(head, chunks)) == 200


async def test_just_as_much_as_is_allowed_is_served() -> None:
    head = _POST + b"Connection: close\r\nX: " + b"a" * 3_900 + b"\r\n" + b"Y: 1\r\n" * 9 + b"\r\n"
    async with _house() as house:
        assert _status(await house.talk(head)) == 200


@pytest.mark.parametrize(
    "pieces",
    [
        (b"G",),
        (b"GET / HTTP/1.1\r\nX: ",),
        (_POST + b"Content-Length: 9\r\n\r\nabc",),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n",),
    ],
)
async def test_who_does_not_get_to_the_end_is_told_so(pieces: tuple[bytes, ...]) -> None:
    async with _house(_HURRIED) as house:
        answer = await house.talk(*pieces)
    assert (_status(answer), _problem(answer)) == (408, "too-slow")
    assert house.seen["http.request"] == 0, "the application never took it for whole"


@pytest.mark.parametrize("pieces", [(), (b"\r\n",)])
async def test_who_says_nothing_is_left_without_a_word(pieces: tuple[bytes, ...]) -> None:
    async with _house(_HURRIED) as house:
        assert await house.talk(*pieces) == b""


async def test_dripping_does_not_prolong_the_time() -> None:
    async with _house(_HURRIED) as house:
        reader, writer = await house.connect()
        began = asyncio.get_running_loop().time()
        drip = asyncio.create_task(_drip(writer))
        assert _status(await _read(reader)) == 408
        assert asyncio.get_running_loop().time() - began < 5
        drip.cancel()
        writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(_POST + b"X: ")
    while not writer.transport.is_closing():
        writer.write(b"a")
        await asyncio.sleep(0.01)


async def test_a_body_nobody_asked_for_is_not_waited_for_either() -> None:
    async with _house(_HURRIED) as house:
        answer = await house.talk(b"POST /early HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
    assert _status(answer) == 200
    assert answer.count(b"HTTP/1.1") == 1, "it was answered once"


async def test_who_got_an_early_answer_and_goes_on_sending_does_not_stay_for_ever() -> None:
    async with _house(_HURRIED) as house:
        reader, writer = await house.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        assert (await reader.readuntil(b"\r\n\r\nkk")).startswith(b"HTTP/1.1 200")
        writer.write(b"defghi")
        async with asyncio.timeout(5):
            assert await _read(reader) == b""
        writer.close()


async def test_an_end_of_line_too_many_costs_no_answer() -> None:
    async with _house(_HURRIED) as house:
        reader, writer = await house.connect()
        writer.write(b"POST /late HTTP/1.1\r\nContent-Length: 2\r\n\r\nab")
        while not house.seen["/late"]:  # noqa: ASYNC110 - the kernel takes its time
            await asyncio.sleep(0.001)
        writer.write(b"\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\nkk")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_answer_nobody_reads_is_given_up() -> None:
    async with _house(_HURRIED) as house:
        client = socket.create_connection(("127.0.0.1", house.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        await house.connected(1)
        await house.connected(0)
        client.close()
    assert house.away == {"answer-not-read": 1}


async def test_requests_ahead_of_their_answers_have_a_bound() -> None:
    async with _house() as house:
        answer = await house.talk(_GET * 1_000)
    served = answer.count(b"HTTP/1.1 200")
    assert 1 <= served <= _PATIENT.max_pipelined + 1
    assert house.seen["/"] == served, "those that were begun are answered"
    assert house.away == {"too-many-connections": 1}


async def test_bodies_ahead_of_their_answers_have_a_bound() -> None:
    large = _POST + b"Content-Length: 5000\r\n\r\n" + b"x" * 5_000
    async with _house() as house:
        answer = await house.talk(_GET + large)
    assert answer.count(b"HTTP/1.1 200") == house.seen["/"] == 1
    assert house.away == {"too-many-connections": 1}


async def test_a_few_requests_ahead_are_served() -> None:
    async with _house() as house:
        answer = await house.talk(_GET * 5 + _POST + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 6


async def test_a_bad_request_behind_good_ones_costs_them_nothing() -> None:
    async with _house() as house:
        answer = await house.talk(_GET * 3 + b"\x00\x00\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3


async def test_another_protocol_is_answered_as_any_request_and_then_no_more() -> None:
    upgrade = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with _house() as house:
        answer = await house.talk(upgrade + b"\x00\x01")
    assert answer.count(b"HTTP/1.1 200") == 1


async def test_who_waited_longest_gives_way_to_who_comes() -> None:
    async with _house(max_connections=3) as house:
        silent, first = await house.connect()
        await house.connected(1)
        begun, second = await house.connect()
        second.write(b"POST / HTTP/1.1\r\nX: ")
        await house.connected(2)
        third = await house.connect()
        await house.connected(3)
        assert _status(await house.talk(_POST + b"Connection: close\r\n\r\n")) == 200
        assert await _read(silent) == b""
        await house.connected(2)
        fourth = await house.connect()
        await house.connected(3)
        assert _status(await house.talk(_POST + b"Connection: close\r\n\r\n")) == 200
        assert _problem(await _read(begun)) == "too-many-connections"
        for writer in (first, second, third[1], fourth[1]):
            writer.transport.abort()


async def test_who_began_a_request_stays_before_those_who_are_silent() -> None:
    async with _house(max_connections=2) as house:
        reader, writer = await house.connect()
        await house.connected(1)
        silent, other = await house.connect()
        await house.connected(2)
        writer.write(_POST + b"Content-Length: 4\r\n\r\nab")
        while not house.seen["/"]:  # noqa: ASYNC110 - the kernel takes its time
            await asyncio.sleep(0.001)
        assert _status(await house.talk(_GET + _POST + b"Connection: close\r\n\r\n")) == 200
        assert await _read(silent) == b""
        writer.write(b"cd")
        assert (await reader.readuntil(b"\r\n\r\nkk")).startswith(b"HTTP/1.1 200")
        writer.close()
        other.close()


async def test_a_request_behind_another_gives_way_as_any_does() -> None:
    async with _house(max_connections=1) as house:
        reader, writer = await house.connect()
        writer.write(_GET + _POST + b"Content-Length: 4\r\n\r\nab")
        assert (await reader.readuntil(b"\r\n\r\nkk")).startswith(b"HTTP/1.1 200")
        while house.seen["/"] < 2:  # noqa: ASYNC110 - the kernel takes its time
            await asyncio.sleep(0.001)
        assert _status(await house.talk(_POST + b"Connection: close\r\n\r\n")) == 200
        assert _problem(await _read(reader)) == "too-many-connections"
        writer.close()


async def test_those_who_have_to_go_take_no_more_files_than_there_are() -> None:
    most = 0
    async with _house(replace(_PATIENT, linger_seconds=20), max_connections=2) as house:
        writers = []
        for _ in range(200):
            _, writer = await house.connect()
            writer.write(b"POST / HTTP/1.1\r\nX: ")
            writers.append(writer)
            await asyncio.sleep(0)
            most = max(most, len(house.state.connections))
        await house.connected(most)
        for writer in writers:
            writer.transport.abort()
    assert most <= 2 + 64 + 10, "a few were accepted together"
    assert house.away["too-many-connections"] >= 150


async def test_nobody_gives_way_in_the_midst_of_a_request() -> None:
    """The application is at work on all of them."""
    async with _house(max_connections=1) as house:
        client = socket.create_connection(("127.0.0.1", house.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n" * 3)
        while not house.seen["/large"]:  # noqa: ASYNC110 - the kernel takes its time
            await asyncio.sleep(0.001)
        answer = await house.talk()
        client.close()
    assert (_status(answer), _problem(answer)) == (503, "too-many-connections")
    assert b"retry-after: 5" in answer

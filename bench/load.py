"""Posts requests over many connections as fast as they are answered. Knows nothing of the service.

Requests are made beforehand, and answers are only looked at for their status, so that the load
costs as little as possible of the machine it shares with the service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

_LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answers:
    """How long all took, and each one, in seconds."""

    seconds: float
    each: Sequence[float]

    def percentile(self, share: float) -> float:
        """The time within which that share of the requests was answered."""
        return sorted(self.each)[min(len(self.each) - 1, int(len(self.each) * share))]


def post_all(port: int, requests: Sequence[bytes], connections: int) -> Answers:
    """Posts all of them to this machine and waits for their answers."""
    return uvloop.run(_post_all(port, requests, connections))


async def _post_all(port: int, requests: Sequence[bytes], connections: int) -> Answers:
    loop = asyncio.get_running_loop()
    waiting, taken = iter(requests), Taken(loop.create_future(), len(requests))
    start = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(waiting, taken), "127.0.0.1", port)
    async with asyncio.timeout(_LONGEST_SECONDS):
        await taken.finished
    return Answers(time.perf_counter() - start, taken.each)


@dataclass(slots=True)
class Taken:
    """What came back so far."""

    finished: asyncio.Future[None]
    wanted: int
    each: list[float] = field(default_factory=list)

    def add(self, seconds: float, answer: bytes) -> None:
        """One more answer; ends the run when it is the last, or no 200."""
        self.each.append(seconds)
        if self.finished.done():
            return
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.finished.set_exception(RuntimeError(answer.decode(errors="replace")))
        elif len(self.each) == self.wanted:
            self.finished.set_result(None)


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, waiting: Iterator[bytes], taken: Taken) -> None:
        self._waiting = waiting
        self._taken = taken
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send_next()

    def data_received(self, data: bytes) -> None:
        """Counts the answer once it is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._received = b""
        self._taken.add(time.perf_counter() - self._sent_at, head + end + body)
        self._send_next()

    def _send_next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])

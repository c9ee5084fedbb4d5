"""Row 12. Slow, vast and hostile clients beside an honest one: it is served, memory is bounded.

The honest client is Segment: everything it posted is acknowledged and arrives once.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import httpx
import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox, running
from faults.conftest import Report, size_of
from faults.process import Segment, Service, Shop, drained, until
from support.running import BEARER

_SEED: Final = 20261124
_MOST_MEGABYTES: Final = 300
_SLOWEST_SECONDS: Final = 1.0
_MIB: Final = 1024 * 1024
_WRITE_KEY: Final = "write-key"
_HEAD: Final = b"POST /webhook/default HTTP/1.1\r\nHost: relay\r\n"
_TRUSTED: Final = _HEAD + f"Authorization: Bearer {BEARER}\r\n".encode()
_TRACKING: Final = (
    b"POST /v1/batch HTTP/1.1\r\nHost: relay\r\nContent-Encoding: gzip\r\n"
    b"Authorization: Basic d3JpdGUta2V5Og==\r\n"
)


@dataclass(slots=True)
class _Attack:
    """Clients that mean no good, and what they were answered.

    Attributes:
        port: of the service.
        statuses: how often each was the first word of an answer; 0 for none.
    """

    port: int
    statuses: Counter[int] = field(default_factory=Counter)

    async def strike(self, pieces: Iterator[bytes], pause_seconds: float = 0.0) -> None:
        """Sends the pieces one by one until there is an answer, and takes note of that."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            self.statuses[0] += 1
            return
        sending = asyncio.create_task(_send(writer, pieces, pause_seconds))
        line = b""
        try:
            with suppress(OSError):
                line = await reader.readline()
        finally:
            sending.cancel()
            writer.transport.abort()
        await asyncio.wait([sending])
        self.statuses[int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0] += 1


async def _send(writer: asyncio.StreamWriter, pieces: Iterator[bytes], pause: float) -> None:
    with suppress(OSError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)


def _repeated(head: bytes, piece: bytes, times: int) -> Iterator[bytes]:
    yield head
    for _ in range(times):
        yield piece


def _drip_of_a_header() -> Iterator[bytes]:
    return _repeated(_HEAD + b"X-Slow: ", b"a", 100_000)


def _drip_of_a_body() -> Iterator[bytes]:
    return _repeated(_TRUSTED + b"Content-Length: 50000\r\n\r\n", b" ", 100_000)


def _drip_of_chunks() -> Iterator[bytes]:
    return _repeated(_TRUSTED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 100_000)


def _silence() -> Iterator[bytes]:
    return iter(())


def _endless_header() -> Iterator[bytes]:
    return _repeated(_HEAD + b"X-Long: ", b"a" * 65_536, 4_000)


def _many_fields() -> Iterator[bytes]:
    return _repeated(_HEAD, b"".join(b"X-%d: 1\r\n" % number for number in range(10_000)), 20)


def _long_address() -> Iterator[bytes]:
    return _repeated(b"GET /", b"a" * 65_536, 1_000)


def _endless_trailer() -> Iterator[bytes]:
    head = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    return _repeated(head, b"X-Trailing: 1\r\n" * 1_000, 1_000)


def _announced() -> Iterator[bytes]:
    return _repeated(_TRUSTED + b"Content-Length: 1000000000000\r\n\r\n", b" " * 65_536, 16_000)


def _unannounced() -> Iterator[bytes]:
    head = _TRUSTED + b"Transfer-Encoding: chunked\r\n\r\n"
    return _repeated(head, b"10000\r\n" + b" " * 65_536 + b"\r\n", 4_000)


def _tiny_chunks() -> Iterator[bytes]:
    """Of a stranger whose signature can only be judged when the body is there."""
    head = _HEAD + b"X-Signature: " + b"a" * 40 + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _repeated(head, b"1\r\n \r\n" * 40_000, 40)


def _large_and_empty() -> Iterator[bytes]:
    """As large as it may be, from somebody who is trusted, and no JSON."""
    return _repeated(_TRUSTED + b"Content-Length: %d\r\n\r\n" % (31 * _MIB), b" " * _MIB, 31)


def _brackets() -> Iterator[bytes]:
    """A list whose one element never ends: its end is searched to the end of the body."""
    head = _TRUSTED + b"Content-Length: %d\r\n\r\n[" % (8 * _MIB + 1)
    return _repeated(head, b'["x"' * (_MIB // 4), 8)


def _stranger() -> Iterator[bytes]:
    return _repeated(_HEAD + b"Content-Length: 33000000\r\n\r\n", b" " * _MIB, 32)


def _bomb() -> Iterator[bytes]:
    return iter([_TRACKING + b"Content-Length: %d\r\n\r\n" % len(_packed()) + _packed()])


@cache
def _packed() -> bytes:
    return gzip.compress(b" " * 64 * _MIB)


def _no_http() -> Iterator[bytes]:
    return iter([b"\x16\x03\x01\x02\x00\x01\x00" * 100])


def _pipelined() -> Iterator[bytes]:
    return _repeated(b"", b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n" * 5_000, 20)


@dataclass(slots=True)
class _Client:
    """Posts one event after the other, and notes how long each took."""

    segment: Segment
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int | None] = field(default_factory=Counter)

    async def press(self) -> None:
        """Without end, over two connections."""
        async with self.segment.client() as client:
            await asyncio.gather(self._press(client), self._press(client))

    async def _press(self, client: httpx.AsyncClient) -> None:
        while True:
            began = time.perf_counter()
            self.statuses[await self.segment.post(client, self.segment.shop.batch(3))] += 1
            self.seconds.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)

    def percentile(self, share: float) -> float:
        """So many of the requests took no longer."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


@asynccontextmanager
async def _served(folder: Path, **changes: str) -> AsyncIterator[tuple[Service, _Client]]:
    """A service, an honest client that presses on, and the verdict when it is over."""
    shop, sandbox = Shop(_SEED), _honest()
    async with running(sandbox) as api_url:
        service = Service(folder, api_url, changes={"SEGMENT_WRITE_KEY": _WRITE_KEY} | changes)
        await service.start()
        client = _Client(Segment(shop, service))
        pressing = asyncio.create_task(client.press())
        try:
            yield service, client
        finally:
            await asyncio.sleep(0.2)
            pressing.cancel()
            await asyncio.wait([pressing])
        await drained(shop, sandbox)
        verdict = shop.verdict(sandbox)
        await service.stop()
    assert not verdict.missing
    assert not verdict.twice


def _megabytes(service: Service) -> float:
    """The most memory it ever had."""
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.slow
async def test_slow_clients_keep_nobody_out(tmp_path: Path, report: Report) -> None:
    count = size_of(quick=90, short=400, full=1_000)
    changes = {"RELAY_RECEIVE_SECONDS": "4"}
    async with _served(tmp_path, **changes) as (service, client):
        before = _megabytes(service)
        attack = _Attack(service.port)
        kinds = (_drip_of_a_header, _drip_of_a_body, _drip_of_chunks, _silence)
        await asyncio.gather(
            *(attack.strike(kinds[n % len(kinds)](), pause_seconds=0.5) for n in range(count))
        )
        after = _megabytes(service)
    _tell(report, f"{count:,} slow sockets", client, attack, (before, after))
    assert set(attack.statuses) == {0, 408}
    assert attack.statuses[408] >= count * 0.7, "those that sent a byte are told why"
    _judge(client, after)


@pytest.mark.slow
async def test_too_many_slow_clients_give_way(tmp_path: Path, report: Report) -> None:
    """More than there is room for, of connections and of requests, and they all hold on."""
    count = size_of(quick=60, short=200, full=600)
    changes = {
        "RELAY_MAX_CONNECTIONS": str(count // 2),
        "RELAY_MAX_REQUESTS": str(count // 8),
        "RELAY_RECEIVE_SECONDS": "20",
    }
    async with _served(tmp_path, **changes) as (service, client):
        attack = _Attack(service.port)
        kinds = (_drip_of_a_header, _drip_of_a_body, _silence)
        holding = [
            asyncio.create_task(attack.strike(kinds[n % len(kinds)](), pause_seconds=0.5))
            for n in range(count)
        ]
        await until(lambda: attack.statuses.total() >= count // 2, 15, "half of them were cut off")
        await asyncio.sleep(1)
        for one in holding:
            one.cancel()
        await asyncio.wait(holding)
        after = _megabytes(service)
    _tell(report, f"{count:,} slow sockets for {count // 2:,} places", client, attack, (0, after))
    assert attack.statuses[503] > 0
    _judge(client, after)


@pytest.mark.slow
async def test_floods_are_refused_and_forgotten(tmp_path: Path, report: Report) -> None:
    times = size_of(quick=2, short=8, full=30)
    kinds = (
        *(_endless_header, _many_fields, _long_address, _endless_trailer, _pipelined, _no_http),
        _tiny_chunks,
        *(_announced, _unannounced, _large_and_empty, _brackets, _stranger, _bomb),
    )
    found: dict[str, Counter[int]] = {}
    _packed()
    async with _served(tmp_path) as (service, client):
        before = _megabytes(service)
        for kind in kinds:
            attack, mark = _Attack(service.port), len(client.seconds)
            async with asyncio.timeout(120):
                await asyncio.gather(*(attack.strike(kind()) for _ in range(times)))
            slowest = max(client.seconds[mark:], default=0.0)
            found[f"{kind.__name__.strip('_')} {slowest * 1000:.0f} ms"] = attack.statuses
        every = _Attack(service.port)
        async with asyncio.timeout(240):
            await asyncio.gather(*(every.strike(kind()) for kind in kinds for _ in range(times)))
        after = _megabytes(service)
    seen = sum(found.values(), every.statuses)
    text = "; ".join(f"{name} {dict(statuses)}" for name, statuses in found.items())
    report(12, f"floods x{times}: {text}")
    _tell(report, f"{len(kinds) * times * 2:,} floods", client, every, (before, after))
    assert {400, 401, 413, 414, 431} <= set(seen)
    _judge(client, after)


def _judge(client: _Client, megabytes: float) -> None:
    """Seconds are judged at full size only: a bounded run may share its machine."""
    assert set(client.statuses) == {200}
    assert megabytes < _MOST_MEGABYTES
    if size_of(short=0, full=1):
        assert client.percentile(0.99) < _SLOWEST_SECONDS


def _tell(
    report: Report, what: str, client: _Client, attack: _Attack, memory: tuple[float, float]
) -> None:
    report(
        12,
        f"{what}: answers {dict(attack.statuses)}; honest {dict(client.statuses)}, p50 "
        f"{client.percentile(0.5) * 1000:.0f} ms, p99 {client.percentile(0.99) * 1000:.0f} ms, "
        f"slowest {max(client.seconds) * 1000:.0f} ms; memory {memory[0]:.0f} -> "
        f"{memory[1]:.0f} MB",
    )


def _honest() -> Sandbox:
    return create_sandbox(
        clock=asyncio.get_running_loop().time, access_tokens=frozenset({"access-token"})
    )

"""Row 2. No 2xx before the fsync of its commit, and what that is for: the power may fail.

The order is shown twice: of system calls, as strace sees them, and of the calls of SQLite. Then
the disk forgets at each crash what was not synced, and nothing that was acknowledged is missing.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import signal
from collections import defaultdict
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conversion_relay.sandbox import running
from faults.conftest import Report, size_of
from faults.judge import Verdict
from faults.process import Segment, Service, Shop, drained, slow_sandbox
from faults.recorded_disk import LOG, Order, names_in, recorded_disk
from support.running import BEARER, world

_SEED: Final = 20261126
_CONNECTIONS: Final = 4
_STRACE: Final = shutil.which("strace")
_PROGRAM: Final = str(Path(__file__).with_name("lossy_disk.py"))
_CALLS: Final = "trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"


class Trace:
    """Reads the lines of `strace -f -y`: one call each, or its beginning and its end."""

    _CALL = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\((\d+)<([^>]*)>)?")

    def __init__(self) -> None:
        self.order = Order()
        self._begun: dict[str, tuple[str, str]] = {}
        self._covered: dict[str, set[str]] = {}
        self._asked: defaultdict[str, set[str]] = defaultdict(set)

    def read(self, line: str) -> None:
        """One line."""
        found = self._CALL.match(line)
        if found is None:
            return
        task, call, descriptor, path = found.groups()
        if descriptor is None:
            descriptor, path = self._begun.pop(task, ("", ""))
        else:
            self._begin(task, call, descriptor, path, line)
        if line.rstrip().endswith("<unfinished ...>"):
            self._begun[task] = (descriptor, path)
        else:
            self._end(task, call, descriptor, path, line)

    def _begin(self, task: str, call: str, descriptor: str, path: str, line: str) -> None:
        if call == "pwrite64" and path.endswith(LOG):
            self.order.written |= names_in(line.encode())
        elif call in {"fsync", "fdatasync"} and path.endswith(LOG):
            self._covered[task] = set(self.order.written)
        elif "HTTP/1.1 200" in line and path.startswith("socket"):
            self.order.answer(self._asked.pop(descriptor, set()))

    def _end(self, task: str, call: str, descriptor: str, path: str, line: str) -> None:
        if call in {"fsync", "fdatasync"} and line.rstrip().endswith("= 0"):
            self.order.synced |= self._covered.pop(task, set())
        elif call in {"read", "recvfrom", "recvmsg"} and path.startswith("socket"):
            self._asked[descriptor] |= names_in(line.encode())


async def _post_one_by_one(segment: Segment, count: int) -> None:
    async with segment.client() as client:
        for event in segment.shop.events(count):
            assert await segment.post(client, [event]) == httpx.codes.OK


@pytest.mark.slow
@pytest.mark.skipif(_STRACE is None, reason="strace is not installed")
async def test_strace_sees_no_answer_before_its_fsync(tmp_path: Path, report: Report) -> None:
    count = size_of(quick=10, short=50, full=250)
    shop, trace = Shop(_SEED), Trace()
    file = tmp_path / "trace"
    sandbox, _ = slow_sandbox(_SEED)
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        process = await service.start()
        arguments = ("-f", "-y", "-s", "100000", "-e", _CALLS, "-o", str(file))
        tracer = await asyncio.create_subprocess_exec(
            str(_STRACE), *arguments, "-p", str(process.pid), stderr=asyncio.subprocess.PIPE
        )
        assert tracer.stderr is not None
        said = await tracer.stderr.readline()
        if b"attached" not in said:
            pytest.skip(f"strace may not: {said.decode().strip()}")
        segments = [Segment(shop, service) for _ in range(_CONNECTIONS)]
        await asyncio.gather(*(_post_one_by_one(one, count) for one in segments))
        tracer.send_signal(signal.SIGINT)
        await tracer.communicate()
        await service.stop()
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            trace.read(line)
    report(2, f"strace: {trace.order}")
    assert trace.order.answered == shop.acknowledged
    assert not trace.order.early


class Answers:
    """The application, which tells of every 200 just before it goes out."""

    def __init__(self, app: ASGIApp, order: Order) -> None:
        self._app = app
        self._order = order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        asked: set[str] = set()

        async def heard() -> Message:
            message = await receive()
            asked.update(names_in(message.get("body", b"")))
            return message

        async def told(message: Message) -> None:
            if message.get("status") == httpx.codes.OK:
                self._order.answer(asked)
            await send(message)

        await self._app(scope, heard, told)


@pytest.mark.slow
async def test_sqlite_has_synced_before_every_answer(tmp_path: Path, report: Report) -> None:
    requests, shop = size_of(quick=10, short=100, full=1_000), Shop(_SEED)

    async def post(client: httpx.AsyncClient) -> None:
        for _ in range(requests):
            batch = orjson.dumps(shop.batch(20))
            headers = {"Authorization": f"Bearer {BEARER}"}
            answer = await client.post("/webhook/default", content=batch, headers=headers)
            assert answer.is_success

    with recorded_disk(tmp_path) as order:
        async with world(tmp_path) as relayed:
            transport = httpx.ASGITransport(app=Answers(relayed.relay.http, order))
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                await asyncio.gather(*(post(client) for _ in range(_CONNECTIONS)))
    report(2, f"calls of SQLite: {order}")
    assert order.answered == shop.posted.keys()
    assert not order.early


async def _cut_the_power(service: Service, platter: Path) -> None:
    """Everything ends at once, and the disk holds what is on the platter."""
    await service.kill()
    data = service.folder / "data"
    for name in ("relay.db", "relay.db-wal"):
        (data / name).unlink(missing_ok=True)
        if (platter / name).exists():
            shutil.copy2(platter / name, data / name)
    (data / "relay.db-shm").unlink(missing_ok=True)


async def _crashed(folder: Path, crashes: int) -> tuple[Verdict, int]:
    """The verdict after so many crashes, and how many copies were sent."""
    draw, shop = random.Random(_SEED), Shop(_SEED)  # noqa: S311 - repeatable on purpose
    platter = folder / "platter"
    platter.mkdir()
    sandbox, _ = slow_sandbox(_SEED)
    async with running(sandbox) as api_url:
        for seed in range(crashes):
            command = (_PROGRAM, str(folder / "data"), str(platter), str(seed))
            service = Service(folder, api_url, command)
            await service.start()
            pressing = asyncio.create_task(Segment(shop, service).press())
            await asyncio.sleep(draw.uniform(0.1, 1.2))
            await _cut_the_power(service, platter)
            await pressing
        service = Service(folder, api_url)
        await service.start()
        await drained(shop, sandbox)
        await service.stop()
    return shop.verdict(sandbox), sum(one.copies for one in sandbox.ledger.conversions())


@pytest.mark.slow
async def test_what_was_not_synced_may_go(tmp_path: Path, report: Report) -> None:
    crashes = size_of(quick=1, short=8, full=40)
    verdict, copies = await _crashed(tmp_path, crashes)
    report(2, f"power cut x{crashes}, unsynced writes dropped: {verdict}; {copies} copies sent")
    assert verdict.is_flawless
    assert verdict.acknowledged > 10 * crashes, "the load was real"

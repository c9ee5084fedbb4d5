"""The service as a real process, and a shop behind Segment that posts to it.

Segment posts again what was not acknowledged; the shop remembers what each event has to become.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from faults.judge import Verdict, hashes, judge, targets
from support.events import NAMES, signature, track
from support.ports import free_port
from support.running import BEARER, SECRET, environment

READY_SECONDS = 60
SERVE = ("-m", "conversion_relay", "serve")
_BUYERS = 50
_SPAWNED: list[Process] = []


class Shop:
    """Makes events, and knows which were acknowledged.

    Attributes:
        posted: by messageId, the hash of the payload with which an event has to arrive.
        acknowledged: the messageIds that were answered 200.
        again: batches that were posted and not acknowledged.
    """

    def __init__(self, seed: int, name: str = "m") -> None:
        self.posted: dict[str, str] = {}
        self.acknowledged: set[str] = set()
        self.again: deque[list[JsonObject]] = deque()
        self._draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._numbers = itertools.count()
        self._name = name
        self._targets = targets()

    def events(self, count: int) -> list[JsonObject]:
        """So many new ones, of every kind that counts as a conversion."""
        made = [self._event() for _ in range(count)]
        self.posted |= hashes(made, self._targets)
        return made

    def batch(self, most: int) -> list[JsonObject]:
        """What Segment posts next: something again, or something new."""
        return self.again.popleft() if self.again else self.events(self._draw.randint(1, most))

    def verdict(self, sandbox: Sandbox) -> Verdict:
        """Of the sandbox's ledger, at present."""
        return judge(sandbox.ledger.conversions(), self.acknowledged, self.posted)

    def _event(self) -> JsonObject:
        draw, number = self._draw, next(self._numbers)
        moment = f"2026-11-20T10:{draw.randrange(60):02}:{draw.randrange(60):02}.250Z"
        return track(
            draw.choice(sorted(NAMES)),
            f"{self._name}-{number:07}",
            userId=f"buyer-{draw.randrange(_BUYERS)}",
            timestamp=moment,
        )


@dataclass(slots=True)
class Service:
    """One database and the process that serves it, if one does.

    Attributes:
        folder: with the database and the log of every process.
        api_url: of the sandbox.
        command: what Python runs.
        changes: further environment variables.
        port: the service listens on.
    """

    folder: Path
    api_url: str
    command: Sequence[str] = SERVE
    changes: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Process | None = None
    slowest_start: float = 0.0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What its processes wrote to standard error."""
        return self.folder / "service.log"

    async def spawn(self) -> Process:
        """Starts the process; it may not be ready yet."""
        folder = self.folder / "data"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        changes = {"RELAY_PORT": str(self.port), "RELAY_LOG_FORMAT": "json"} | self.changes
        variables = environment(folder, self.api_url, **changes)
        with self.log.open("ab") as log:
            self.process = await create_subprocess_exec(
                sys.executable, *self.command, env=variables, stdout=DEVNULL, stderr=log
            )
        _SPAWNED.append(self.process)
        return self.process

    async def start(self) -> Process:
        """Starts it, and waits until it is ready: nobody helps it."""
        began = time.monotonic()
        process = await self.spawn()
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while not await self._is_ready(client):
                assert process.returncode is None, self.last_words()
                await asyncio.sleep(0.02)
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)
        return process

    async def kill(self) -> None:
        """Ends it as a power switch would."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; gives the exit status and the seconds until it had ended."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        status = await self.process.wait()
        return status, time.monotonic() - began

    def lines(self) -> list[dict[str, object]]:
        """Its log so far."""
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines() if line]

    def last_words(self) -> str:
        """The end of its log, for a message."""
        return self.log.read_text("utf-8", "replace")[-2_000:]

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/readyz")).is_success
        except httpx.TransportError:
            return False


@dataclass(slots=True)
class Segment:
    """Posts what the shop sells, signed and with the bearer token.

    Attributes:
        shop: whose events these are.
        service: where they go.
        most: events in one request.
        pause: seconds between two requests of one connection, at most.
        posting, posted: set whenever a request goes out, and whenever it was acknowledged.
    """

    shop: Shop
    service: Service
    most: int = 20
    pause: float = 0.01
    posting: asyncio.Event = field(default_factory=asyncio.Event)
    posted: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, client: httpx.AsyncClient, batch: list[JsonObject]) -> int | None:
        """The status of the answer, None without one; what was not kept is to go again."""
        self.posting.set()
        status = await self._status(client, batch)
        if status == httpx.codes.OK:
            self.shop.acknowledged.update(str(event["messageId"]) for event in batch)
            self.posted.set()
        else:
            self.shop.again.append(batch)
        return status

    async def post_all(self, count: int) -> None:
        """Posts so many events; every one of them is acknowledged when this returns."""
        async with self.client() as client:
            left = count
            while left > 0:
                size = min(left, self.most)
                assert await self.post(client, self.shop.events(size)) == httpx.codes.OK
                left -= size

    async def press(self, connections: int = 4) -> None:
        """Posts without end over so many connections, until the service is gone."""
        async with self.client() as client:
            await asyncio.gather(*(self._press(client, n) for n in range(connections)))

    def client(self) -> httpx.AsyncClient:
        """A client for the service."""
        return httpx.AsyncClient(base_url=self.service.url, trust_env=False, timeout=15)

    async def _press(self, client: httpx.AsyncClient, number: int) -> None:
        draw = random.Random(number)  # noqa: S311 - repeatable on purpose
        while await self.post(client, self.shop.batch(self.most)) is not None:  # noqa: ASYNC110
            await asyncio.sleep(draw.uniform(0, self.pause))

    async def _status(self, client: httpx.AsyncClient, batch: list[JsonObject]) -> int | None:
        body = orjson.dumps(batch if len(batch) > 1 else batch[0])
        headers = {
            "X-Signature": signature(SECRET, orjson.dumps(batch[0])),
            "Authorization": f"Bearer {BEARER}",
        }
        try:
            answer = await client.post("/webhook/default", content=body, headers=headers)
        except httpx.TransportError:
            return None
        return answer.status_code


@dataclass(slots=True)
class Pauses:
    """How the sandbox's faults wait: for a random time, while others may look.

    Attributes:
        arrived, answered: set whenever a request came in, and whenever its answer goes out.
        in_flight: requests that wait for their answer now.
    """

    draw: random.Random
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0

    async def __call__(self, seconds: float) -> None:
        """Waits up to twice as long."""
        self.arrived.set()
        self.in_flight += 1
        try:
            await asyncio.sleep(self.draw.uniform(0, 2 * seconds))
            self.answered.set()
        finally:
            self.in_flight -= 1


def slow_sandbox(seed: int) -> tuple[Sandbox, Pauses]:
    """A sandbox that counts before or after a random pause, so that kills meet requests."""
    pauses = Pauses(random.Random(seed))  # noqa: S311 - repeatable on purpose
    sandbox = create_sandbox(
        clock=time.monotonic,
        access_tokens=frozenset({"access-token"}),
        faults=[parse_fault("timeout=0.03,probability=0.5"), parse_fault("accept_then_hang=0.03")],
        sleep=pauses,
    )
    return sandbox, pauses


async def end_all() -> None:
    """Ends what a test left running."""
    while _SPAWNED:
        process = _SPAWNED.pop()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Comes back when the condition holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - the other side is another program
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


async def drained(shop: Shop, sandbox: Sandbox, seconds: float = 60, quiet: float = 1.5) -> None:
    """Until everything acknowledged arrived, and then nothing more comes for a while.

    What does not come in so many seconds is for the verdict to tell.
    """
    with suppress(AssertionError):
        await until(lambda: not shop.verdict(sandbox).missing, seconds, "everything arrived")
    seen = -1
    while seen != sandbox.journal.written:
        seen = sandbox.journal.written
        await asyncio.sleep(quiet)

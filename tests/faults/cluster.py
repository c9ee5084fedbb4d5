"""Several nodes over one PostgreSQL of their own, and a Segment that does not give up at once.

Nodes are real processes; the front, the sandbox and the load live in this one.
"""

from __future__ import annotations

import asyncio
import base64
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import orjson

from conversion_relay.core.values import JsonObject
from conversion_relay.demo.cluster import Front, Upstream
from conversion_relay.demo.postgres import Server
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault, running
from faults.availability import Availability
from faults.process import SERVE, Pauses, Service, Shop
from support.events import signature
from support.running import ADMIN, BEARER, SECRET

ENCRYPTION_KEY: Final = base64.b64encode(bytes(range(32))).decode()
BACK_SECONDS: Final = 10.0
"""Within so many seconds of the database's return everybody works again."""
_GIVES_UP_SECONDS: Final = 5.0
"""So long Segment waits for an answer."""
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 4.0
_TRIES: Final = 40
"""Of a request; a few minutes. Segment tries for four hours."""


@dataclass(slots=True)
class Patient:
    """Segment: posts a batch again, with its messageIds, until it is acknowledged.

    Attributes:
        shop: whose events these are.
        url: of the front.
        most: events in one request.
        pause: seconds between two requests of one connection, at most.
        answers: by their status; None: there was none.
    """

    shop: Shop
    url: str
    most: int = 20
    pause: float = 0.1
    availability: Availability = field(default_factory=Availability)
    answers: Counter[int | None] = field(default_factory=Counter)

    @asynccontextmanager
    async def pressing(self, connections: int = 3) -> AsyncIterator[None]:
        """Posts over so many connections meanwhile; afterwards what was begun is ended."""
        stop = asyncio.Event()
        limits = httpx.Limits(max_connections=connections)
        client = httpx.AsyncClient(trust_env=False, timeout=_GIVES_UP_SECONDS, limits=limits)
        async with client:
            tasks = [
                asyncio.create_task(self._press(client, number, stop))
                for number in range(connections)
            ]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    async def post_all(self, count: int) -> None:
        """So many events, as quickly as they are taken."""
        async with httpx.AsyncClient(trust_env=False, timeout=_GIVES_UP_SECONDS) as client:
            for begin in range(0, count, self.most):
                await self._hand_over(client, self.shop.events(min(self.most, count - begin)))

    async def post(self, client: httpx.AsyncClient, count: int) -> int | None:
        """So many new events, once; the status of the answer, None without one."""
        batch = self.shop.events(count)
        status = await self._status(client, batch)
        if status == httpx.codes.OK:
            self._note(batch)
        return status

    async def _press(self, client: httpx.AsyncClient, number: int, stop: asyncio.Event) -> None:
        draw = random.Random(number)  # noqa: S311 - repeatable on purpose
        while not stop.is_set():
            await self._hand_over(client, self.shop.events(draw.randint(1, self.most)))
            with suppress(TimeoutError):
                async with asyncio.timeout(draw.uniform(0, self.pause)):
                    await stop.wait()

    async def _hand_over(self, client: httpx.AsyncClient, batch: list[JsonObject]) -> None:
        self.availability.requests += 1
        began = time.monotonic()
        for pause in _pauses():
            self.availability.tries += 1
            status = await self._status(client, batch)
            self.answers[status] += 1
            if status == httpx.codes.OK:
                self._note(batch)
                lasted = time.monotonic() - began
                self.availability.longest_seconds = max(self.availability.longest_seconds, lasted)
                return
            await asyncio.sleep(pause)
        self.availability.given_up += 1

    def _note(self, batch: list[JsonObject]) -> None:
        self.shop.acknowledged.update(str(event["messageId"]) for event in batch)

    async def _status(self, client: httpx.AsyncClient, batch: list[JsonObject]) -> int | None:
        body, headers = signed(batch)
        try:
            answer = await client.post(
                f"{self.url}/webhook/default", content=body, headers=headers
            )
        except httpx.ConnectError:
            self.availability.refused += 1
            return None
        except httpx.TransportError:
            return None
        return answer.status_code


def busy_sandbox(seed: int) -> tuple[Sandbox, Pauses]:
    """A sandbox that counts before or after a pause of a second, so that kills meet requests."""
    pauses = Pauses(random.Random(seed))  # noqa: S311 - repeatable on purpose
    sandbox = create_sandbox(
        clock=time.monotonic,
        access_tokens=frozenset({"access-token"}),
        faults=[parse_fault("timeout=0.7,probability=0.5"), parse_fault("accept_then_hang=0.7")],
        sleep=pauses,
    )
    return sandbox, pauses


def signed(batch: Sequence[JsonObject]) -> tuple[bytes, dict[str, str]]:
    """Body and headers, as Segment sends them."""
    body = orjson.dumps(batch if len(batch) > 1 else batch[0])
    return body, {
        "X-Signature": signature(SECRET, orjson.dumps(batch[0])),
        "Authorization": f"Bearer {BEARER}",
    }


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_TRIES):
        yield pause
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


@dataclass(slots=True)
class Cluster:
    """What runs.

    Attributes:
        server: the database's.
        nodes: those that were started.
        front: before them.
        url: of the front.
        sandbox: where everything goes.
    """

    server: Server
    nodes: list[Service]
    front: Front
    url: str
    sandbox: Sandbox

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """To the database, past everything that stands between."""
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self.server.url("postgres"), timeout=5, server_settings={"application_name": "judge"}
        )
        return connection

    async def ask(self, node: Service, path: str) -> httpx.Response:
        """An admin path of this node."""
        async with httpx.AsyncClient(base_url=node.url, trust_env=False, timeout=10) as client:
            return await client.get(path, headers={"Authorization": f"Bearer {ADMIN}"})

    async def in_service(self) -> None:
        """Until the front gives requests to every node."""
        async with asyncio.timeout(BACK_SECONDS):
            while not all(node.in_service for node in self.front.nodes):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def ready_again(self, seconds: float = BACK_SECONDS) -> float:
        """Until every node is ready; gives how long that took."""
        began = time.monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=seconds) as client:
            for node in self.nodes:
                while not await _is_ready(client, node):
                    lasted = time.monotonic() - began
                    assert lasted < seconds, f"{node.folder.name} hangs: {node.last_words()}"
                    await asyncio.sleep(0.1)
        return time.monotonic() - began


async def _is_ready(client: httpx.AsyncClient, node: Service) -> bool:
    try:
        return (await client.get(f"{node.url}/readyz")).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def database(*settings: str) -> AsyncIterator[Server]:
    """A durable PostgreSQL of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="relay-cluster-"))
    server = await asyncio.to_thread(Server, folder, settings=settings)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def node_of(
    folder: Path, name: str, api_url: str, url: str, command: Sequence[str] = SERVE, **changes: str
) -> Service:
    """A node that is not started yet; `changes` are environment variables."""
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    variables = {
        "RELAY_DATABASE_URL": url,
        "RELAY_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "RELAY_NODE_NAME": name,
        "RELAY_DATABASE_CONNECTIONS": "5",
        "RELAY_CANARY": "false",
    }
    return Service(own, api_url, command, variables | changes)


@asynccontextmanager
async def cluster(
    folder: Path,
    sandbox: Sandbox,
    server: Server,
    *,
    nodes: int = 3,
    url: str | None = None,
    spool: bool = False,
) -> AsyncIterator[Cluster]:
    """Nodes that are ready, and a front before them.

    Args:
        folder: for their logs.
        sandbox: where everything goes.
        server: their database.
        nodes: how many.
        url: of the database, where that leads around something.
        spool: each has one.
    """
    async with AsyncExitStack() as stack:
        api_url = await stack.enter_async_context(running(sandbox))
        target = url or server.url("postgres")
        names = [f"node-{number + 1}" for number in range(nodes)]
        changes = [_spool(folder / name) if spool else {} for name in names]
        made = [
            node_of(folder, name, api_url, target, **more)
            for name, more in zip(names, changes, strict=True)
        ]
        await asyncio.gather(*(node.start() for node in made))
        front = Front([Upstream(node.folder.name, node.url) for node in made])
        address = await stack.enter_async_context(front.listening())
        yield Cluster(server, made, front, address, sandbox)


def _spool(folder: Path) -> dict[str, str]:
    return {"RELAY_SPOOL": str(folder / "data" / "spool.db")}

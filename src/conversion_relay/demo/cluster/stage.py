"""The demonstration of a cluster: kill a node, and watch that nothing is lost.

Nodes are processes as anybody would run them; front, sandbox and shop live in this one. Knows the
nodes by their HTTP paths alone.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from conversion_relay.demo.cluster.front import Front, Upstream
from conversion_relay.demo.cluster.keeper import Keeper
from conversion_relay.demo.cluster.node import Node, free_ports
from conversion_relay.demo.cluster.traffic import Traffic
from conversion_relay.demo.hosting import end_on_signal
from conversion_relay.demo.postgres import Server
from conversion_relay.demo.shop import Shop
from conversion_relay.errors import RelayError
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import now

_TOKEN: Final = "demo-access-token"  # noqa: S105 - of the sandbox
_PORT: Final = 8080
_OURS: Final = ("RELAY_", "TIKTOK_", "SEGMENT_")
_LINE_SECONDS: Final = 5.0
_ARRIVAL_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it there is.

    Attributes:
        nodes: how many.
        events_per_second: of the shop, on average.
        events_once: how many it sells where the demonstration ends by itself.
    """

    nodes: int = 3
    events_per_second: float = 20.0
    events_once: int = 200


def run(*, once: bool, size: Size | None = None) -> None:
    """Shows the cluster; returns when all events arrived (`once`) or on Ctrl-C.

    Raises:
        RelayError: something did not start, or an event did not arrive exactly once.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="conversion-relay-") as folder:
        try:
            asyncio.run(_Stage(console, Path(folder), size or Size()).perform(once=once))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Stopped.")


@dataclass
class _Stage:
    """Where it is shown."""

    console: Console
    folder: Path
    size: Size
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    bearer_token: str = field(default_factory=lambda: secrets.token_hex(16))
    admin_token: str = field(default_factory=lambda: secrets.token_hex(16))
    encryption_key: str = field(
        default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode()
    )

    async def perform(self, *, once: bool) -> None:
        """All of it."""
        end_on_signal()
        async with AsyncExitStack() as stack:
            self._say("PostgreSQL and the nodes start …")
            server = await stack.enter_async_context(_database(self.folder / "postgres"))
            sandbox = _sandbox()
            tiktok = await stack.enter_async_context(running_sandbox(sandbox))
            nodes = self._nodes(server, tiktok)
            await stack.enter_async_context(_started(nodes))
            front = Front([Upstream(node.name, node.url) for node in nodes], self._changed)
            url = await stack.enter_async_context(front.listening(_PORT))
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
            )
            shop = Shop(client, self.secret, random.Random(7))  # noqa: S311 - visitors
            traffic = Traffic(shop, sandbox, now, self.size.events_per_second)
            self._introduce(url, tiktok, server, nodes)
            if once:
                await self._once(traffic)
            else:
                await self._go_on(traffic, nodes, server, client)

    def _nodes(self, server: Server, tiktok: str) -> list[Node]:
        names = [f"node-{number + 1}" for number in range(self.size.nodes)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        shared = kept | {
            "TIKTOK_ACCESS_TOKEN": _TOKEN,
            "TIKTOK_PIXEL_CODE": "DEMOPIXEL0001",
            "TIKTOK_API_URL": tiktok,
            "SEGMENT_SHARED_SECRET": self.secret,
            "RELAY_BEARER_TOKEN": self.bearer_token,
            "RELAY_ADMIN_TOKEN": self.admin_token,
            "RELAY_ENCRYPTION_KEY": self.encryption_key,
            "RELAY_DATABASE_URL": server.url("postgres"),
        }
        return [
            Node(
                name, port, shared | {"RELAY_NODE_NAME": name, "RELAY_PORT": str(port)},
                self.folder / f"{name}.log",
            )
            for name, port in zip(names, free_ports(self.size.nodes), strict=True)
        ]  # fmt: skip

    async def _once(self, traffic: Traffic) -> None:
        """A number of events, until the last of them has arrived.

        Raises:
            RelayError: one is missing, or was counted twice.
        """
        count = self.size.events_once
        self._say(f"The shop sells {count} events …")
        try:
            async with asyncio.timeout(_ARRIVAL_SECONDS):
                await traffic.sell(count)
                await traffic.arrival()
        except TimeoutError:
            raise RelayError(f"not everything arrived: {traffic.balance()}") from None
        balance = traffic.balance()
        self._say(str(balance))
        if balance.twice or balance.arrived != count:
            raise RelayError("not every event arrived exactly once")
        self._say("Each event that was acknowledged has arrived, exactly once.")

    async def _go_on(
        self, traffic: Traffic, nodes: Sequence[Node], server: Server, client: httpx.AsyncClient
    ) -> None:
        """Until somebody ends it."""
        keeper = Keeper(traffic, self._say)
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.sell())
            group.create_task(keeper.keep_database(server))
            for node in nodes:
                group.create_task(keeper.keep(node))
            while True:
                await asyncio.sleep(_LINE_SECONDS)
                self._say(f"{traffic.balance()}   {await self._kept(client)}")

    async def _kept(self, client: httpx.AsyncClient) -> str:
        """What the nodes say of the database."""
        key = {"Authorization": f"Bearer {self.admin_token}"}
        try:
            answer = await client.get("/api/status", headers=key)
            deliveries = answer.raise_for_status().json()["deliveries"].get("tiktok", {})
        except httpx.HTTPError:
            return "database: no answer"
        return "database: " + ", ".join(f"{count} {state}" for state, count in deliveries.items())

    def _introduce(self, url: str, tiktok: str, server: Server, nodes: Sequence[Node]) -> None:
        rows = "\n".join(f"  {one.name}      pid {one.pid:<8} {one.url}" for one in nodes)
        self._show(
            f"""
  front       {url}, over the nodes in turn
{rows}
  PostgreSQL  pid {server.pid:<8} {server.url("postgres")}
  sandbox     {tiktok}/__sandbox/conversions

Kill a node, and watch:  kill -9 {nodes[-1].pid}
  The front sends its requests to the others, and they deliver. What it had claimed comes free
  once its lease of 90 s has run out; the others send it then. Or stop it (kill {nodes[-1].pid}):
  then it gives everything back at once. Or kill PostgreSQL:  kill -9 {server.pid}
The admin paths need the token of this demonstration:
  curl -H 'Authorization: Bearer {self.admin_token}' {url}/api/status
Ctrl-C ends all of it.
"""
        )

    def _changed(self, node: Upstream) -> None:
        self._say(
            f"front: {node.name} gets {'requests' if node.in_service else 'no more requests'}."
        )

    def _say(self, text: str) -> None:
        self._show(f"{now().astimezone():%H:%M:%S}  {text}")

    def _show(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _sandbox() -> Sandbox:
    """One that answers as slowly as a distant API, so that something is always on its way."""
    return create_sandbox(
        clock=lambda: now().timestamp(),
        access_tokens=frozenset({_TOKEN}),
        faults=[parse_fault("timeout=0.3")],
    )


@asynccontextmanager
async def _database(folder: Path) -> AsyncIterator[Server]:
    """A server of its own, gone with the demonstration."""
    server = await asyncio.to_thread(Server, folder)
    try:
        await asyncio.to_thread(server.start)
        yield server
    finally:
        await asyncio.to_thread(server.stop, "fast")


@asynccontextmanager
async def _started(nodes: Sequence[Node]) -> AsyncIterator[None]:
    """All of them, from when they are ready; none is left behind."""
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))

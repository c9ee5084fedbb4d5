"""Two nodes over one PostgreSQL: one of them watches over the traffic of both."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.service.alerting.alert import News, Notification
from conversion_relay.service.app import Outside, open_relay
from conversion_relay.service.app import now as present
from conversion_relay.service.configuration import load
from conversion_relay.service.monitor.watch import TICK_SECONDS, Monitor
from conversion_relay.service.relay import Relay
from support.events import order, signature
from support.lines import Lines
from support.postgres import new_database
from support.running import ADMIN, SECRET, environment

_WITHIN_SECONDS = 30.0
_WATCHES = 'relay_duty{duty="watch"} 1.0'
_ALERT = 'relay_alerts_open{rule="signature_failures",severity="critical",subject="default"} 1.0'
HOUR = timedelta(hours=1)
_KEY = base64.b64encode(bytes(range(32))).decode()


async def _soon(seconds: float) -> None:
    """Looks and signs of life come in quick succession; other waits are as they are."""
    await asyncio.sleep(0.05 if seconds == TICK_SECONDS else seconds)


@dataclass
class Node:
    """A node.

    Attributes:
        told: every notification of it.
    """

    relay: Relay
    client: httpx.AsyncClient
    told: list[Notification] = field(default_factory=list)

    @property
    def monitor(self) -> Monitor:
        """That watches it."""
        assert self.relay.monitor is not None
        return self.relay.monitor

    async def post(self, event: JsonObject, secret: str = SECRET) -> int:
        """Posts an event as Segment does; gives the status of the answer."""
        raw = orjson.dumps(event)
        headers = {"Content-Type": "application/json", "X-Signature": signature(secret, raw)}
        answer = await self.client.post("/webhook/default", content=raw, headers=headers)
        return answer.status_code

    async def alerts(self) -> list[tuple[str, bool]]:
        """Rules and whether their alerts are open, as the admin path shows them."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        answer = await self.client.get("/api/alerts", headers=headers)
        return [(one["rule"], one["isOpen"]) for one in answer.raise_for_status().json()["alerts"]]

    def shows(self, line: str) -> bool:
        """Whether /metrics has this line."""
        return line in self.monitor.around.metrics.exposition().decode().splitlines()

    def said(self) -> list[tuple[News, str]]:
        """What it told of which rule."""
        return [(one.news, one.alert.finding.rule) for one in self.told]


@asynccontextmanager
async def _node(name: str, url: str, folder: Path) -> AsyncIterator[Node]:
    given = environment(
        folder,
        "http://127.0.0.1:9",
        RELAY_DATABASE_URL=url,
        RELAY_NODE_NAME=name,
        RELAY_ENCRYPTION_KEY=_KEY,
        RELAY_WEAK_DURABILITY="true",
    )
    async with open_relay(load(given), Lines(), Outside(sleep=_soon)) as relay:
        transport = httpx.ASGITransport(app=relay.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            node = Node(relay, client)
            node.monitor.notify = node.told.append
            async with relay.delivering():
                yield node


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_WITHIN_SECONDS):
        while not condition():  # noqa: ASYNC110 - the other side is another program
            await asyncio.sleep(0.02)


def _open_at(node: Node) -> list[str]:
    return [alert.finding.rule for alert in node.monitor.alerts()]


@pytest.fixture
def url() -> str:
    """Of an empty database."""
    return new_database()


@dataclass
class Pair:
    """Two nodes: the one that watches, and the other.

    Attributes:
        leave: the watcher says goodbye.
    """

    watcher: Node
    other: Node
    leave: Callable[[], Awaitable[None]]

    @property
    def both(self) -> tuple[Node, Node]:
        """Both."""
        return self.watcher, self.other


@asynccontextmanager
async def _pair(folder: Path, url: str) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as last, AsyncExitStack() as first:
        watcher = await first.enter_async_context(_node("a", url, folder))
        await _until(lambda: watcher.shows(_WATCHES))
        other = await last.enter_async_context(_node("b", url, folder))
        await _until(lambda: all(len(_here(one)) == 2 for one in (watcher, other)))
        yield Pair(watcher, other, first.aclose)


@pytest.mark.slow
async def test_one_of_two_nodes_watches_over_the_traffic_of_both(tmp_path: Path, url: str) -> None:
    async with _pair(tmp_path, url) as pair:
        for number in range(6):  # at the one that does not watch
            assert await pair.other.post(order(f"m-{number}"), secret="another") == 401
        await _until(lambda: all("signature_failures" in _open_at(one) for one in pair.both))
        assert pair.watcher.said() == [(News.OPENED, "signature_failures")]
        for one in pair.both:
            assert ("signature_failures", True) in await one.alerts()
            assert one.shows(_ALERT)
        await pair.leave()
        await _until(lambda: pair.other.shows(_WATCHES))
        await _until(lambda: len(_here(pair.other)) == 1)
        assert _open_at(pair.other) == ["signature_failures"]
        assert pair.other.said() == []


@pytest.mark.slow
async def test_what_both_count_is_kept_once(tmp_path: Path, url: str) -> None:
    async with _node("c", url, tmp_path) as third:
        async with _pair_beside(tmp_path, url) as nodes:
            for number, node in enumerate(nodes * 5):
                assert await node.post(order(f"m-{number}")) == 200
            assert await nodes[0].post(order("m-1")) == 200  # a copy, at another node
        history = third.relay.store.history
        now = present()
        flow = await history.flow(now - HOUR, now + HOUR, HOUR)
        counted = {(one.measure, one.labels[0]): one.count for one in flow if one.labels}
        assert counted["events_kept", "default"] == 10
        assert counted["events_duplicate", "default"] == 1


@asynccontextmanager
async def _pair_beside(folder: Path, url: str) -> AsyncIterator[list[Node]]:
    async with _node("a", url, folder) as one, _node("b", url, folder) as other:
        yield [one, other]


def _here(node: Node) -> list[str]:
    figures = node.monitor.figures
    company = None if figures is None else figures.company
    return [] if company is None else [one.name for one in company.here]

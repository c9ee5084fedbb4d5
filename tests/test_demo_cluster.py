"""The demonstration of a cluster: its front, its shop, and a short performance of all of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conversion_relay import demo
from conversion_relay.demo.cluster import Front, Upstream
from conversion_relay.demo.cluster.traffic import Traffic
from conversion_relay.demo.shop import Shop
from conversion_relay.sandbox import create_sandbox
from support.ports import free_port
from support.serving import serving

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
_WITHIN_SECONDS = 5


@dataclass
class FakeNode:
    """Answers with its name and what it was asked."""

    name: str
    ready: bool = True
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        request = Request(scope, receive)
        if request.url.path == "/readyz":
            answer = Response(status_code=200 if self.ready else 503)
        else:
            url = f"{scope['raw_path'].decode()}?{request.url.query}"
            self.asked.append((request.method, url, await request.body()))
            answer = Response(self.name, 201, {"X-Node": self.name})
        await answer(scope, receive, send)


@asynccontextmanager
async def fronted(
    nodes: Sequence[FakeNode], *more: Upstream
) -> AsyncIterator[tuple[Front, httpx.AsyncClient]]:
    """A front over them and a client of it, once it knows who is ready."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(node)) for node in nodes]
        upstreams = [Upstream(node.name, url) for node, url in zip(nodes, urls, strict=True)]
        front = Front([*upstreams, *more])
        url = await stack.enter_async_context(front.listening())
        ready = sum(node.ready for node in nodes)
        await until_in_service(front, ready)
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=_WITHIN_SECONDS)
        yield front, await stack.enter_async_context(client)


async def until_in_service(front: Front, count: int) -> None:
    async with asyncio.timeout(_WITHIN_SECONDS):
        while sum(node.in_service for node in front.nodes) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def nobody() -> Upstream:
    """A node that is not there, and that the front believes to be."""
    return Upstream("nobody", f"http://127.0.0.1:{free_port()}", in_service=True)


async def test_requests_go_to_the_nodes_in_turn_as_they_are() -> None:
    nodes = [FakeNode("a"), FakeNode("b"), FakeNode("c")]
    async with fronted(nodes) as (_, client):
        answers = [await client.post("/v1/x%2Fy?z=1&z=2", content=b"body") for _ in range(9)]
    assert Counter(answer.text for answer in answers) == {"a": 3, "b": 3, "c": 3}
    assert {answer.status_code for answer in answers} == {201}
    assert answers[0].headers["X-Node"] == answers[0].text
    assert nodes[0].asked == [("POST", "/v1/x%2Fy?z=1&z=2", b"body")] * 3


async def test_a_node_that_is_not_ready_gets_nothing_until_it_is() -> None:
    nodes = [FakeNode("a"), FakeNode("b", ready=False)]
    async with fronted(nodes) as (front, client):
        assert {(await client.get("/")).text for _ in range(6)} == {"a"}
        nodes[1].ready = True
        await until_in_service(front, 2)
        assert {(await client.get("/")).text for _ in range(6)} == {"a", "b"}


async def test_a_refused_request_goes_to_the_next_node() -> None:
    lost = nobody()
    async with fronted([FakeNode("a")], lost) as (front, client):
        for _ in range(4):
            lost.in_service = True
            assert (await client.get("/")).text == "a"
        assert front.second_tries > 0
        await until_in_service(front, 1)
        assert not lost.in_service
        assert front.unanswered == 0


async def test_a_request_that_was_cut_off_goes_to_the_next_node() -> None:
    """As when a node is killed between receiving and answering."""
    cut_off = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cut_off
        cut_off += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    broken = Upstream("broken", f"http://127.0.0.1:{port}", in_service=True)
    node = FakeNode("a")
    async with server, fronted([node], broken) as (_, client):
        for _ in range(2):
            broken.in_service = True
            assert (await client.post("/", content=b"event")).text == "a"
    assert cut_off > 0
    assert [body for _, _, body in node.asked] == [b"event"] * 2


async def test_where_no_node_answers_it_says_so() -> None:
    async with fronted([], nobody(), nobody()) as (front, client):
        await until_in_service(front, 0)
        answer = await client.get("/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert front.unanswered == 1


async def test_where_no_node_is_ready_each_says_for_itself_why() -> None:
    async with fronted([FakeNode("a", ready=False)]) as (_, client):
        assert (await client.get("/")).text == "a"


async def test_what_is_too_large_is_refused() -> None:
    node = FakeNode("a")
    async with fronted([node]) as (_, client):
        answer = await client.post("/", content=bytes(34 * 1024 * 1024))
    assert answer.status_code == 413
    assert node.asked == []


async def test_the_shop_posts_the_same_event_until_it_is_taken() -> None:
    answers, bodies = iter([503, 500]), list[bytes]()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await Request(scope, receive).body())
        await Response(status_code=next(answers, 200))(scope, receive, send)

    sandbox = create_sandbox(clock=lambda: 0.0, access_tokens=None)
    transport = httpx.ASGITransport(app=answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        shop = Shop(client, "secret", random.Random(7))  # noqa: S311 - visitors
        traffic = Traffic(shop, sandbox, lambda: NOW, 1e6, pauses_seconds=(0.0,))
        await traffic.sell(1)
    balance = traffic.balance()
    assert bodies == bodies[:1] * 3
    assert shop.promised == ["shop-00001"]
    assert (balance.sold, balance.acknowledged, balance.again) == (1, 1, 2)
    assert balance.missing == {"shop-00001"}


@pytest.mark.slow
def test_a_cluster_of_two_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    demo.run_cluster(once=True, size=demo.Size(nodes=2, events_per_second=100, events_once=60))
    shown = capsys.readouterr().out
    assert "node-2      pid" in shown
    assert "has arrived, exactly once" in shown

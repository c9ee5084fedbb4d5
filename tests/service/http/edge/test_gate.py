"""How many requests at a time, and how many bytes; who is slow gives way to who comes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from conversion_relay.service.http.edge.body import BodyLimits, receive_body
from conversion_relay.service.http.edge.gate import Budget, Gate
from conversion_relay.service.http.problems import Problem

_LIMITS = BodyLimits(max_body_bytes=10_000_000, receive_seconds=30)
_KIB = 1024


class _Behind:
    """An application that receives the body, and answers when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.received = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await receive_body(receive, None, _LIMITS)
        self.received.set()
        if isinstance(body, Problem):
            await body.response()(scope, receive, send)
            return
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class _Front:
    """A gate, and what it turned away."""

    def __init__(self, max_requests: int = 100, max_bytes: int = 1_000 * _KIB) -> None:
        self.app = _Behind()
        self.away: Counter[str] = Counter()
        self.budget = Budget(max_bytes)
        self.gate = Gate(
            self.app, max_requests, self.budget, lambda slug: self.away.update([slug])
        )

    def post(self, *pieces: int, path: str = "/webhook/a", length: int | None = None) -> _Post:
        """A request with a body of such pieces; the last is its end unless it is 0."""
        return _Post(self.gate, pieces, path, length)


class _Post:
    def __init__(self, gate: Gate, pieces: tuple[int, ...], path: str, length: int | None) -> None:
        self.status: int | None = None
        self._pieces = list(pieces)
        headers = [(b"transfer-encoding", b"chunked")]
        if length is not None:
            headers = [(b"content-length", b"%d" % length)]
        scope = {"type": "http", "path": path, "headers": headers}
        self.task = asyncio.create_task(gate(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        size = self._pieces.pop(0) if self._pieces else 0
        if not size:
            await asyncio.Event().wait()
        more = bool(self._pieces)
        return {"type": "http.request", "body": b" " * size, "more_body": more}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]

    async def end(self) -> int | None:
        """The status, once it is over."""
        async with asyncio.timeout(5):
            await self.task
        return self.status


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_more_requests_than_are_served_are_turned_away() -> None:
    front = _Front(max_requests=2)
    inside = [front.post(1), front.post(1)]
    await _settle()
    assert await front.post(1).end() == 503
    assert front.away == {"busy": 1}
    front.app.go_on.set()
    assert [await one.end() for one in inside] == [200, 200]
    assert await front.post(1).end() == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/", "/api/status"])
async def test_who_watches_over_the_service_always_gets_in(path: str) -> None:
    front = _Front(max_requests=1)
    first = front.post(1)
    await _settle()
    watching = front.post(1, path=path)
    await _settle()
    front.app.go_on.set()
    assert [await first.end(), await watching.end()] == [200, 200]


async def test_the_slowest_gives_way_to_who_comes() -> None:
    front = _Front(max_requests=2)
    slow, slower = front.post(5, 0, length=9), front.post(5, 0, length=9)
    await _settle()
    front.app.go_on.set()
    assert await front.post(1).end() == 200
    assert await slow.end() == 503
    assert not slower.task.done()
    slower.task.cancel()


async def test_bodies_together_have_a_bound_and_give_it_back() -> None:
    front = _Front(max_bytes=800 * _KIB)
    held = front.post(600 * _KIB)
    await _settle()
    assert await front.post(200 * _KIB).end() == 503
    front.app.go_on.set()
    assert await held.end() == 200
    assert await front.post(600 * _KIB).end() == 200


@pytest.mark.parametrize(("length", "status"), [(60 * _KIB, 200), (None, 503)])
async def test_a_part_is_kept_for_small_bodies(length: int | None, status: int) -> None:
    front = _Front(max_bytes=800 * _KIB)
    held = front.post(700 * _KIB, 0)
    await _settle()
    front.app.go_on.set()
    assert await front.post(60 * _KIB, length=length).end() == status
    held.task.cancel()


async def test_what_goes_wrong_behind_gives_its_bytes_back() -> None:
    async def broken(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        raise ZeroDivisionError

    budget = Budget(800 * _KIB)
    gate = Gate(broken, 1, budget, lambda _: None)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await _Post(gate, (600 * _KIB,), "/webhook/a", None).end()
    assert budget.take(700 * _KIB, None)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["/webhook/a", "/v1/batch", "/api/backfill", "/metrics"]),
        st.lists(st.integers(0, 300 * _KIB), max_size=4),
        st.sampled_from(["goes on", "is cancelled", "is answered"]),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(_STEPS)
def test_whatever_is_broken_off_leaves_nothing_behind(
    steps: list[tuple[str, list[int], str, int]],
) -> None:
    async def run() -> None:
        front = _Front(max_requests=3, max_bytes=800 * _KIB)
        posts = []
        for path, pieces, end, pauses in steps:
            posts.append(front.post(*pieces, path=path))
            for _ in range(pauses):
                await asyncio.sleep(0)
            if end == "is cancelled":
                posts[len(posts) // 2].task.cancel()
            elif end == "is answered":
                front.app.go_on.set()
        for post in posts:
            post.task.cancel()
        await asyncio.gather(*(post.task for post in posts), return_exceptions=True)
        assert front.budget.take(700 * _KIB, None), "every byte was given back"
        front.budget.give_back(700 * _KIB)
        front.app.go_on.set()
        again = [front.post(1) for _ in range(3)]
        assert [await one.end() for one in again] == [200, 200, 200], "every place, too"

    asyncio.run(run())

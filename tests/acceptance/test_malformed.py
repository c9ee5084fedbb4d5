"""Whatever is posted is mapped, put into quarantine or refused in words; the rest goes on.

RELAY_TEST_CASES says how many generated bodies are posted; `make fuzz` posts 100,000.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import State
from conversion_relay.service.store.port import Selection
from support.events import order
from support.hostile import CORPUS, bodies
from support.running import BEARER, World, world

_WRITE_KEY: Final = "write-key"
_BASIC: Final = "Basic " + base64.b64encode(f"{_WRITE_KEY}:".encode()).decode()
_WAYS_IN: Final = {
    "/webhook/default": f"Bearer {BEARER}",
    "/v1/track": _BASIC,
    "/v1/batch": _BASIC,
}
_REFUSED: Final = {400, 413}
_AT_ONCE: Final = 25


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, SEGMENT_WRITE_KEY=_WRITE_KEY) as one:
        yield one


async def _post(here: World, path: str, body: bytes) -> httpx.Response:
    headers = {"Authorization": _WAYS_IN[path], "Content-Type": "application/json"}
    return await here.client.post(path, content=body, headers=headers)


def _judge(answer: httpx.Response) -> None:
    """It was taken, with counts that add up, or refused with a problem document."""
    document = answer.json()
    if answer.status_code == httpx.codes.OK:
        assert document.pop("success") is True
        taken = document.pop("accepted", 0)
        document.pop("duplicates", 0)
        assert sum(document.values()) == taken
        return
    assert answer.status_code in _REFUSED, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    assert document["detail"]


async def _goes_on(here: World) -> None:
    """A good event still arrives, no event met a fault of ours, and TikTok refused nothing."""
    assert (await _post(here, "/webhook/default", orjson.dumps(order("good")))).status_code == 200
    conversions = await here.settled()
    assert "good" in {one.event_id for one in conversions}
    assert [one for one in conversions if one.copies] == []
    assert "ingest.not_planned" not in here.log.events
    assert await _dead(here) == []


async def _dead(here: World) -> list[tuple[str, str | None]]:
    """What TikTok refused, and why."""
    asked = Selection(states=frozenset({State.DEAD}))
    found: list[tuple[str, str | None]] = []
    after: int | None = 0
    while after is not None:
        page = await here.relay.store.select(asked, after, 200)
        for event in page.events:
            for one in event.deliveries:
                body = await here.relay.store.body(one.record.id) or b""
                found.append((body.decode(errors="replace"), one.record.reason))
        after = page.after
    return found


@pytest.mark.parametrize("path", sorted(_WAYS_IN))
async def test_the_corpus(here: World, path: str) -> None:
    for name, body in CORPUS.items():
        inside = b'{"batch":[%b,%b]}' % (body, orjson.dumps(order(f"beside {name}")))
        _judge(await _post(here, path, inside if path == "/v1/batch" else body))
    await _goes_on(here)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_generated_bodies(tmp_path: Path) -> None:
    """In one service, many at a time, so that 100,000 of them take minutes."""
    examples = int(os.environ.get("RELAY_TEST_CASES", "1000")) // _AT_ONCE
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        here = runner.run(stack.enter_async_context(world(tmp_path, SEGMENT_WRITE_KEY=_WRITE_KEY)))

        async def post_all(cases: list[tuple[str, bytes]]) -> None:
            for path, body in cases:
                _judge(await _post(here, path, body))

        case = st.tuples(st.sampled_from(sorted(_WAYS_IN)), bodies())

        @settings(
            max_examples=examples,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(st.lists(case, min_size=_AT_ONCE, max_size=_AT_ONCE))
        def law(cases: list[tuple[str, bytes]]) -> None:
            runner.run(post_all(cases))

        law()
        runner.run(_goes_on(here))
        runner.run(stack.aclose())

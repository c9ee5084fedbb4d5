"""Row 21. The node that watches is killed: another does within seconds, and repeats nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import httpx
import pytest

from conversion_relay.sandbox import create_sandbox
from faults.cluster import cluster, database
from faults.conftest import Report, size_of
from faults.process import Service, until
from support.events import order
from support.running import BEARER

_HANDOVER_SECONDS: Final = 20.0
_WATCHES: Final = 'relay_duty{duty="watch"} 1.0'
_OPEN: Final = (
    'relay_alerts_open{rule="signature_failures",severity="critical",subject="default"} 1.0'
)
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_another_node_watches_when_the_one_that_did_is_killed(
    tmp_path: Path, report: Report
) -> None:
    sandbox = create_sandbox(clock=time.monotonic)
    async with database() as server, cluster(tmp_path, sandbox, server, nodes=2) as running:
        watcher = await _who_shows(_WATCHES, running.nodes)
        (other,) = (node for node in running.nodes if node is not watcher)
        for number in range(6):
            await _forge(other, number)
        await until(lambda: _told(watcher) == 1, _HANDOVER_SECONDS, "the alert is told")
        await watcher.kill()
        began = time.monotonic()
        await _who_shows(_WATCHES, [other])
        lasted = time.monotonic() - began
        await watcher.start()
        await _who_shows(_OPEN, [watcher])
        ends = [await node.stop() for node in running.nodes]
    report(21, f"kill -9 of the node that watches: another watches {lasted:.1f} s after")
    assert lasted <= _HANDOVER_SECONDS
    assert [_told(watcher), _told(other)] == [1, 0], (
        "who took over or came back says nothing twice"
    )
    assert {status for status, _ in ends} == {0}


async def _who_shows(line: str, nodes: list[Service]) -> Service:
    """The first of them that has this line among its metrics."""
    bound = asyncio.timeout(2 * _HANDOVER_SECONDS)
    async with bound, httpx.AsyncClient(trust_env=False) as client:
        while True:
            for node in nodes:
                if line in (await client.get(f"{node.url}/metrics")).text.splitlines():
                    return node
            await asyncio.sleep(0.1)


async def _forge(node: Service, number: int) -> None:
    headers = {"Authorization": f"Bearer {BEARER}", "X-Signature": "0" * 40}
    async with httpx.AsyncClient(base_url=node.url, trust_env=False) as client:
        answer = await client.post("/webhook/default", json=order(f"m-{number}"), headers=headers)
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def _told(node: Service) -> int:
    lines = [line for line in node.lines() if line["event"] == "alert.opened"]
    return [line["rule"] for line in lines].count("signature_failures")

"""Row 16. Three nodes are restarted one by one under load, and once by another release.

Nobody who comes through the front is refused, nothing is lost, nothing counts twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from faults import next_release
from faults.availability import LEAST_AVAILABILITY, Availability
from faults.cluster import Cluster, Patient, cluster, database
from faults.conftest import Report, size_of
from faults.process import Shop, drained, slow_sandbox

_SEED: Final = 20261125
_LONGEST_SECONDS: Final = 15.0
_NODES: Final = size_of(quick=2, short=3, full=3)
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@pytest.mark.slow
async def test_a_rolling_restart_is_not_noticed(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    rounds = size_of(quick=1, short=1, full=5)
    shop = Shop(_SEED)
    sandbox, _ = slow_sandbox(_SEED)
    ends: list[tuple[int, float]] = []
    async with database() as server, cluster(tmp_path, sandbox, server, nodes=_NODES) as running:
        segment = Patient(shop, running.url)
        async with segment.pressing():
            for _ in range(rounds):
                await asyncio.sleep(1)
                ends += await _restart_each(running)
        await drained(shop, sandbox)
        ends += [await node.stop() for node in running.nodes]
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    report(
        16,
        f"rolling restart of {_NODES} nodes x{rounds}: {verdict}; {segment.availability}; "
        f"{running.front.second_tries} given to another node by the front; slowest exit "
        f"{max(seconds for _, seconds in ends):.1f} s",
    )
    _require_unnoticed(segment.availability, ends)
    assert verdict.is_flawless
    assert verdict.acknowledged > 50, "the load was real"
    assert segment.availability.tries == segment.availability.requests, "no try failed"


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_an_upgrade_node_by_node_is_not_noticed(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    """The next release has one more column; for a while nodes of both work beside each other."""
    shop, newer = Shop(_SEED), next_release.install(tmp_path / "next")
    sandbox, _ = slow_sandbox(_SEED)
    async with database() as server, cluster(tmp_path, sandbox, server) as running:
        segment = Patient(shop, running.url)
        async with segment.pressing():
            await asyncio.sleep(1)
            ends = await _restart_each(running, newer)
            await asyncio.sleep(1)
        await drained(shop, sandbox)
        versions = [
            (await running.ask(node, "/healthz")).json()["version"] for node in running.nodes
        ]
        connection = await running.connect()
        schema = await connection.fetchval("SELECT max(version) FROM schema_versions")
        await connection.close()
        ends += [await node.stop() for node in running.nodes]
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    report(
        16,
        f"upgrade of 3 nodes to {versions[0]}, schema {schema}: {verdict}; {segment.availability}",
    )
    _require_unnoticed(segment.availability, ends)
    assert versions == [next_release.VERSION] * 3
    assert schema == next_release.SCHEMA
    assert verdict.is_flawless
    assert verdict.acknowledged > 50, "the load was real"


async def _restart_each(
    running: Cluster, changes: Mapping[str, str] | None = None
) -> list[tuple[int, float]]:
    """One after the other; the next one only when the one before is ready.

    Args:
        running: the nodes.
        changes: environment variables of those that are started.
    """
    ends = []
    for node in running.nodes:
        ends.append(await node.stop())
        node.changes |= changes or {}
        await node.start()
        await running.in_service()
    return ends


def _require_unnoticed(seen: Availability, ends: list[tuple[int, float]]) -> None:
    assert seen.refused == 0
    assert seen.share >= LEAST_AVAILABILITY
    assert {status for status, _ in ends} == {0}
    assert max(seconds for _, seconds in ends) <= _LONGEST_SECONDS

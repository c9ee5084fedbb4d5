"""Row 18. The database is away, and nodes with a spool go on answering 200.

What they kept meanwhile arrives once it is back: all of it, and once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import httpx
import pytest

from faults.availability import LEAST_AVAILABILITY, Availability
from faults.cluster import Patient, cluster, database
from faults.conftest import Report, size_of
from faults.process import Shop, drained, slow_sandbox

_SEED: Final = 20261127
_AWAY_SECONDS: Final = size_of(short=8, full=60)
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_with_a_spool_segment_is_answered_200_without_a_database(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    shop, answers = Shop(_SEED), Counter[int | None]()
    sandbox, _ = slow_sandbox(_SEED)
    async with (
        database() as server,
        cluster(tmp_path, sandbox, server, spool=True) as running,
    ):
        segment = Patient(shop, running.url, answers=answers)
        async with segment.pressing():
            await asyncio.sleep(1)
            await asyncio.to_thread(server.kill)
            before = len(shop.acknowledged)
            await asyncio.sleep(_AWAY_SECONDS)
            meanwhile = len(shop.acknowledged) - before
            await asyncio.to_thread(server.start)
            back = await running.ready_again()
            await asyncio.sleep(1)
        await drained(shop, sandbox, seconds=120)
        ends = [await node.stop() for node in running.nodes]
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    told = ", ".join(f"{count} x {status or 'none'}" for status, count in answers.items())
    report(
        18,
        f"database killed and away for {_AWAY_SECONDS} s, nodes with a spool: answers {told}, "
        f"{meanwhile:,} events acknowledged meanwhile; ready {back:.1f} s after; {verdict}; "
        f"{segment.availability}",
    )
    assert verdict.is_flawless
    assert set(answers) == {httpx.codes.OK}
    assert meanwhile > 20 * _AWAY_SECONDS / 8, "the load was real"
    assert segment.availability.share >= LEAST_AVAILABILITY
    assert {status for status, _ in ends} == {0}

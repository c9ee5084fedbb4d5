"""Row 1, the store alone: killed in the middle of its work, what it acknowledged is there."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Disposition
from conversion_relay.service.store.sqlite import open_store
from faults.busy_store import KEY, event
from faults.conftest import Report, size_of

MOST_ACKNOWLEDGED: Final = 3_000
_PROGRAM: Final = str(Path(__file__).with_name("busy_store.py"))


async def acknowledged_until_killed(worker: Process, enough: int) -> list[str]:
    """What it said until it was killed, with what was still under way to us then."""
    assert worker.stdout is not None
    lines = [await worker.stdout.readline() for _ in range(enough)]
    worker.kill()
    rest, _ = await worker.communicate()
    assert all(lines), "it ended by itself"
    complete = b"".join(lines) + rest[: rest.rfind(b"\n") + 1]
    return complete.decode().splitlines()


async def check(path: Path, kept: set[str], settled: set[str]) -> None:
    """Every acknowledged event is there exactly once, every acknowledged end was recorded."""
    store = await open_store(path, Sealer([KEY]))
    records = await store.deliveries(sorted(kept))
    assert Counter(record.message_id for record in records) == Counter(kept)
    delivered = {r.message_id for r in records if r.state is State.DELIVERED}
    assert settled & kept <= delivered
    assert State.CLAIMED not in {record.state for record in records}
    assert (await store.append([event(name) for name in kept])).accepted == 0
    totals = await store.totals()
    assert sum(totals.deliveries.values()) == totals.events[Disposition.PLANNED] >= len(kept)
    await store.close()


@pytest.mark.slow
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, report: Report) -> None:
    rounds = size_of(quick=4, short=8, full=30)
    path = tmp_path / "relay.db"
    draw = random.Random(20260114)  # noqa: S311 (repeatable on purpose)
    kept: set[str] = set()
    settled: set[str] = set()
    for seed in range(rounds):
        command = [sys.executable, _PROGRAM, str(path), str(seed)]
        worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        lines = await acknowledged_until_killed(worker, draw.randint(0, MOST_ACKNOWLEDGED))
        words = [line.split() for line in lines]
        kept |= {name for verb, name in words if verb == "kept"}
        settled |= {name for verb, name in words if verb == "settled"}
        await check(path, kept, settled)
    report(
        1,
        f"the store alone, kill -9 x{rounds}: {len(kept):,} kept and {len(settled):,} settled "
        "were acknowledged, 0 lost, 0 undone",
    )
    assert kept
    assert settled

"""A process is killed in the middle of its work, again and again: what it acknowledged is there.

Run as a program, this file is that process: it appends, claims and settles for ever, and prints
what the store acknowledged. (Power loss is another matter: that hangs on synchronous=FULL.)
"""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from conversion_relay.core.delivery import State, Transition
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Disposition, NewEvent, Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store

KEY = bytes(range(32))
NOW = datetime(2026, 1, 14, tzinfo=UTC)
ROUNDS = 8
MOST_ACKNOWLEDGED = 3_000


def event(message_id: str) -> NewEvent:
    body = message_id.encode() * 20
    planned = PlannedDelivery("tiktok", "order", "web", "CompletePayment", message_id, body)
    return NewEvent(
        source="default",
        message_id=message_id,
        type="track",
        received_at=NOW,
        original=body,
        disposition=Disposition.PLANNED,
        deliveries=(planned,),
    )


async def append_for_ever(store: SqliteStore, names: Iterator[str], draw: random.Random) -> None:
    while True:
        batch = [next(names) for _ in range(draw.randint(1, 20))]
        await store.append([event(name) for name in batch])
        say(f"kept {name}" for name in batch)


async def settle_for_ever(store: SqliteStore, draw: random.Random) -> None:
    while True:
        claims = await store.claim("tiktok", draw.randint(1, 50), timedelta(seconds=60), NOW)
        transition = Transition(State.DELIVERED)
        await store.settle([Settlement(c.id, c.fence, transition) for c in claims], NOW)
        say(f"settled {claim.message_id}" for claim in claims)


def say(lines: Iterator[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


async def work(path: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 (repeatable on purpose)
    store = await open_store(path, Sealer([KEY]))
    names = (f"{seed}-{number}" for number in count())
    appending = [append_for_ever(store, names, draw) for _ in range(8)]
    await asyncio.gather(*appending, settle_for_ever(store, draw))


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
async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    draw = random.Random(20260114)  # noqa: S311 (repeatable on purpose)
    kept: set[str] = set()
    settled: set[str] = set()
    for seed in range(ROUNDS):
        command = [sys.executable, __file__, str(path), str(seed)]
        worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        lines = await acknowledged_until_killed(worker, draw.randint(0, MOST_ACKNOWLEDGED))
        words = [line.split() for line in lines]
        kept |= {name for verb, name in words if verb == "kept"}
        settled |= {name for verb, name in words if verb == "settled"}
        await check(path, kept, settled)
    assert kept
    assert settled


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))

"""Row 14. Three nodes and their PostgreSQL are killed at random under load.

Nothing is lost, nothing counts twice, whatever a killed node had claimed is taken over in time,
and no pool of connections hangs once the database is back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from conversion_relay.service.app import now
from conversion_relay.service.dispatch import LEASE
from faults.availability import LEAST_AVAILABILITY, Availability
from faults.cluster import (
    BACK_SECONDS,
    Cluster,
    Patient,
    busy_sandbox,
    cluster,
    database,
)
from faults.conftest import Report, size_of
from faults.process import Shop, drained

_SEED: Final = 20261122
_LEASE_SECONDS: Final = size_of(quick=10, short=10, full=90)
"""In a small run leases are cut short, so that each of them is seen to run out."""
_TAKEN_OVER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.25
_SHORTER_LEASES: Final = """
CREATE FUNCTION shorten_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.due_at := least(NEW.due_at, NEW.claimed_at + {microseconds});
    RETURN NEW;
END $$;
CREATE TRIGGER shorter_leases BEFORE UPDATE ON deliveries
    FOR EACH ROW WHEN (NEW.state = 'claimed') EXECUTE FUNCTION shorten_lease();
"""
_OVERDUE: Final = "SELECT min(due_at) FROM deliveries WHERE state = 'claimed' AND due_at < $1"
_NOT_THERE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_TAKEN_OVER: Final = "SELECT count(*) FROM deliveries WHERE fence > 1"
_IN_FLIGHT: Final = "SELECT count(*) FROM deliveries WHERE state = 'claimed'"
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@dataclass(slots=True)
class Watcher:
    """Looks at the leases, again and again.

    Attributes:
        overdue_seconds: the longest that a lease had run out and nobody had taken it over, while
            the database could be asked.
        claimed_at_kills: deliveries that somebody had when a node was killed.
        back_at: when the database came back last (monotonic).
        slowest_return: seconds until every node was ready again.
    """

    cluster: Cluster
    overdue_seconds: float = 0.0
    claimed_at_kills: int = 0
    back_at: float = 0.0
    slowest_return: float = 0.0
    _away: bool = field(default=False)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Meanwhile."""
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _look(self) -> None:
        while True:
            if not self._away:
                await self._look_once()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look_once(self) -> None:
        """A database that has just come back is given its time."""
        present = int(now().timestamp() * 1e6)
        oldest = await self.value(_OVERDUE, present)
        if oldest is None:
            return
        since_return = time.monotonic() - self.back_at - BACK_SECONDS
        self.overdue_seconds = max(
            self.overdue_seconds, min((present - oldest) / 1e6, since_return)
        )

    async def value(self, question: str, *arguments: int) -> int | None:
        """What the database says; None while it says nothing."""
        try:
            connection = await self.cluster.connect()
            try:
                found: int | None = await connection.fetchval(question, *arguments, timeout=5)
                return found
            finally:
                await connection.close(timeout=2)
        except _NOT_THERE:
            return None

    async def kill_node(self, draw: random.Random) -> None:
        """One of them, started again after a moment; the others go on."""
        node = draw.choice(self.cluster.nodes)
        await node.kill()
        self.claimed_at_kills += await self.value(_IN_FLIGHT) or 0
        await asyncio.sleep(draw.uniform(0, 2))
        await node.start()

    async def kill_two_nodes(self, draw: random.Random) -> None:
        """At the same moment."""
        nodes = draw.sample(self.cluster.nodes, 2)
        await asyncio.gather(*(node.kill() for node in nodes))
        self.claimed_at_kills += await self.value(_IN_FLIGHT) or 0
        await asyncio.gather(*(node.start() for node in nodes))

    async def kill_database(self, draw: random.Random) -> None:
        """The postmaster and its children, as a power switch would."""
        self._away = True
        await asyncio.to_thread(self.cluster.server.kill)
        await asyncio.sleep(draw.uniform(0, 2))
        await asyncio.to_thread(self.cluster.server.start)
        self.back_at = time.monotonic()
        self._away = False
        self.slowest_return = max(self.slowest_return, await self.cluster.ready_again())


_KINDS: Final = {
    "node": Watcher.kill_node,
    "database": Watcher.kill_database,
    "two nodes": Watcher.kill_two_nodes,
}


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_kills_lose_nothing_and_what_was_claimed_is_taken_over(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    kills = size_of(short=6, full=24)
    draw, shop = random.Random(_SEED), Shop(_SEED)  # noqa: S311 - repeatable on purpose
    sandbox, _ = busy_sandbox(_SEED)
    kinds = [list(_KINDS)[number % len(_KINDS)] for number in range(kills)]
    async with database() as server, cluster(tmp_path, sandbox, server) as running:
        await _shorten_leases(running)
        watcher, segment = Watcher(running), Patient(shop, running.url)
        async with watcher.looking():
            async with segment.pressing():
                for kind in kinds:
                    await asyncio.sleep(draw.uniform(0.5, 2))
                    await _KINDS[kind](watcher, draw)
            await drained(shop, sandbox, seconds=_LEASE_SECONDS + 30)
        taken_over = await watcher.value(_TAKEN_OVER) or 0
        ends = [await node.stop() for node in running.nodes]
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    spread = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())
    report(
        14,
        f"kill -9 x{kills} ({spread}; {watcher.claimed_at_kills} deliveries were claimed): "
        f"{verdict}; {taken_over} leases of {_LEASE_SECONDS} s taken over, at most "
        f"{watcher.overdue_seconds:.1f} s late, nodes ready at most "
        f"{watcher.slowest_return:.1f} s after the database; {segment.availability}",
    )
    assert verdict.is_flawless
    assert watcher.overdue_seconds <= _TAKEN_OVER_SECONDS
    assert watcher.claimed_at_kills > 0, "kills met what was on its way"
    assert taken_over > 0, "leases ran out"
    assert watcher.slowest_return <= BACK_SECONDS
    assert verdict.acknowledged > 20 * kills, "the load was real"
    assert segment.availability.share >= LEAST_AVAILABILITY
    assert {status for status, _ in ends} == {0}


async def _shorten_leases(running: Cluster) -> None:
    if LEASE.total_seconds() == _LEASE_SECONDS:
        return
    connection = await running.connect()
    await connection.execute(_SHORTER_LEASES.format(microseconds=_LEASE_SECONDS * 1_000_000))
    await connection.close()

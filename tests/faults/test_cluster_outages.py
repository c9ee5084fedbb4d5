"""Row 15. The database fails in every way but death: nodes answer 503, and go on by themselves.

No node is started again: the processes that met the trouble are the ones that work afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import httpx
import pytest

from faults.availability import LEAST_AVAILABILITY, Availability
from faults.cluster import BACK_SECONDS, Cluster, Patient, cluster, database
from faults.conftest import Report, size_of
from faults.process import Shop, drained, slow_sandbox
from support.proxy import Proxy, proxied

_SEED: Final = 20261124
_LONGEST_SILENCE: Final = size_of(short=15, full=60)
_SHORT: Final = size_of(short=5, full=20)
_PROBE_SECONDS: Final = 0.5
_LONGEST_ANSWER_SECONDS: Final = 12.0
_CONNECTIONS: Final = 40
_OURS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'conv%'"
)
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What troubles are made with."""

    cluster: Cluster
    proxy: Proxy


@asynccontextmanager
async def _restarted(scene: Scene) -> AsyncIterator[None]:
    """Shut down as if it had crashed, and away for a moment."""
    await asyncio.to_thread(scene.cluster.server.stop, "immediate")
    yield
    await asyncio.to_thread(scene.cluster.server.start)


@asynccontextmanager
async def _read_only(scene: Scene) -> AsyncIterator[None]:
    """The primary has become a standby, and later a primary again."""
    await _set(scene.cluster, "ALTER SYSTEM SET default_transaction_read_only = on")
    yield
    await _set(scene.cluster, "ALTER SYSTEM RESET default_transaction_read_only")


async def _set(running: Cluster, statement: str) -> None:
    connection = await running.connect()
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(statement)
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@asynccontextmanager
async def _exhausted(scene: Scene) -> AsyncIterator[None]:
    """Strangers have every connection that the server gives."""
    strangers: list[asyncpg.Connection[asyncpg.Record]] = [await scene.cluster.connect()]
    until = time.monotonic() + _SHORT / 2
    while time.monotonic() < until:
        await strangers[0].execute(_OURS)
        try:
            while True:
                strangers.append(await scene.cluster.connect())
        except asyncpg.PostgresError:  # 53300, or those that end have not ended yet
            await asyncio.sleep(0.05)
    yield
    await asyncio.gather(*(one.close() for one in strangers))


@asynccontextmanager
async def _blackhole(scene: Scene) -> AsyncIterator[None]:
    """Nothing gets through, and nobody is told."""
    scene.proxy.blackhole()
    yield
    scene.proxy.pass_on()


Trouble: TypeAlias = Callable[[Scene], AbstractAsyncContextManager[None]]
_TROUBLES: Final[dict[str, tuple[Trouble, float]]] = {
    "restart immediate": (_restarted, 2),
    "read-only primary": (_read_only, _SHORT),
    "connections exhausted": (_exhausted, _SHORT),
    "blackhole": (_blackhole, _LONGEST_SILENCE),
}
"""And how long each lasts."""


@dataclass(slots=True)
class Met:
    """What a trouble did to those who asked.

    Attributes:
        answers: while it lasted, by status; None: no answer in time.
        slowest_seconds: of an answer meanwhile.
        back_seconds: from its end to the first 200 of the node that took longest.
    """

    answers: Counter[int | None]
    slowest_seconds: float = 0.0
    back_seconds: float = 0.0


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_a_database_that_fails_costs_time_and_nothing_else(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    shop, met = Shop(_SEED), dict[str, Met]()
    sandbox, _ = slow_sandbox(_SEED)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(database(f"max_connections={_CONNECTIONS}"))
        proxy = await stack.enter_async_context(proxied(server.port))
        url = server.url("postgres").replace(f":{server.port}/", f":{proxy.port}/")
        running = await stack.enter_async_context(cluster(tmp_path, sandbox, server, url=url))
        segment = Patient(shop, running.url)
        async with segment.pressing():
            for name, (trouble, seconds) in _TROUBLES.items():
                await asyncio.sleep(1)
                met[name] = await _meet(Scene(running, proxy), trouble, seconds, shop)
        await drained(shop, sandbox, seconds=120)
        alive = [node.process is not None and node.process.returncode for node in running.nodes]
        ends = [await node.stop() for node in running.nodes]
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    for name, one in met.items():
        told = ", ".join(f"{count} x {status or 'none'}" for status, count in one.answers.items())
        report(
            15,
            f"{name} for {_TROUBLES[name][1]:g} s: answers {told}, slowest "
            f"{one.slowest_seconds:.1f} s; back after {one.back_seconds:.1f} s",
        )
    report(15, f"all of these: {verdict}; {segment.availability}")
    assert verdict.is_flawless
    assert verdict.acknowledged > 100, "the load was real"
    assert alive == [None] * len(alive), "nobody was started again"
    assert {status for status, _ in ends} == {0}
    assert segment.availability.share >= LEAST_AVAILABILITY
    for name, one in met.items():
        assert one.answers[503] > 0, name
        assert set(one.answers) <= {200, 503}, name
        assert one.slowest_seconds < _LONGEST_ANSWER_SECONDS, name
        assert one.back_seconds <= BACK_SECONDS, name


async def _meet(scene: Scene, trouble: Trouble, seconds: float, shop: Shop) -> Met:
    """Asks every node all the time while the trouble lasts, and then until it answers 200."""
    met = Met(Counter())
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(trust_env=False, timeout=_LONGEST_ANSWER_SECONDS)
        )
        segments = [Patient(shop, node.url) for node in scene.cluster.nodes]
        async with trouble(scene):
            over = time.monotonic() + seconds
            await asyncio.gather(*(_ask(client, one, met, over) for one in segments))
        ended = time.monotonic()
        await asyncio.gather(*(_return(client, one, ended + 2 * BACK_SECONDS) for one in segments))
        met.back_seconds = time.monotonic() - ended
    await scene.cluster.ready_again()
    return met


async def _ask(client: httpx.AsyncClient, segment: Patient, met: Met, over: float) -> None:
    while time.monotonic() < over:
        began = time.monotonic()
        met.answers[await segment.post(client, 1)] += 1
        met.slowest_seconds = max(met.slowest_seconds, time.monotonic() - began)
        await asyncio.sleep(_PROBE_SECONDS)


async def _return(client: httpx.AsyncClient, segment: Patient, latest: float) -> None:
    while await segment.post(client, 1) != httpx.codes.OK:
        assert time.monotonic() < latest, f"{segment.url} does not answer 200 again"
        await asyncio.sleep(0.1)

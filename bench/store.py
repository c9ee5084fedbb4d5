"""`make bench-store`: what the store over PostgreSQL takes, gives and settles each second.

The server is of this run, from the wheel, with its commits on the disk. The figures depend on the
machine and on what else it does; what they are of each other much less: so a small and a large
backlog are claimed from in turns.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
from rich import box
from rich.console import Console
from rich.table import Table
from work import Figure, sample_delivery

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.demo.postgres import Server
from conversion_relay.errors import StoreBusy
from conversion_relay.service.app import now
from conversion_relay.service.sealing import KEY_BYTES, Sealer
from conversion_relay.service.store.port import Disposition, NewEvent, Settlement
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.store import PostgresStore

TASKS: Final = 64
_LEASE: Final = timedelta(minutes=5)
_BATCH: Final = 1000
_LARGEST_FILL: Final = 10_000
_APPENDS: Final = ((1, 10_000), (100, 40_000), (1000, 40_000))
_SMALL, _LARGE = 10_000, 1_000_000
_TURNS: Final = 30
_OLD_SECONDS: Final = 180.0
_DELIVERED: Final = Transition(State.DELIVERED, Cause.ACCEPTED)


def main() -> None:
    """Measures and prints; an argument is the size of the large backlog."""
    large = int(sys.argv[1]) if len(sys.argv) > 1 else _LARGE
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            rows = asyncio.run(_measured(server, large))
        finally:
            server.stop()
    _print(rows)


async def _measured(server: Server, large: int) -> list[Figure]:
    rows: list[Figure] = []
    async with _store(server, "rates") as (store, _):
        for size, count in _APPENDS:
            rows.append(await _appended(store, size, count))
        rows.append(await _drained(store, "claimed and settled by 1,000", 60_000))
        rows.append(await _cycled(store, 30_000))
    async with _store(server, "small") as (store, _), _store(server, "large") as (full, url):
        await _fill(full, large)
        rows += await _in_turns(store, full, large)
        async with _old_transaction(url):
            rows += await _aged(store, full)
    return rows


@asynccontextmanager
async def _store(server: Server, name: str) -> AsyncIterator[tuple[PostgresStore, str]]:
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    store = await open_store(Address(server.url(name)), Sealer([bytes(KEY_BYTES)]))
    yield store, server.url(name)
    await store.close()


@asynccontextmanager
async def _old_transaction(url: str) -> AsyncIterator[None]:
    """Somebody who reads and forgets to end it."""
    connection = await asyncpg.connect(url)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetchval("SELECT count(*) FROM envelopes")
        yield
    await connection.close()


def _events(count: int) -> list[NewEvent]:
    present, planned = now(), sample_delivery()
    return [
        NewEvent(
            source="default",
            message_id=name,
            type="track",
            received_at=present,
            original=planned.body,
            disposition=Disposition.PLANNED,
            deliveries=(replace(planned, event_id=name),),
        )
        for name in (str(uuid.uuid4()) for _ in range(count))
    ]


async def _appended(store: PostgresStore, size: int, count: int) -> Figure:
    events = _events(count)
    waiting = iter([events[start : start + size] for start in range(0, count, size)])
    commits, began_at = store.load.commits, time.perf_counter()
    await asyncio.gather(*(_append_all(store, waiting) for _ in range(TASKS)))
    seconds = time.perf_counter() - began_at
    remark = f"{count / (store.load.commits - commits):.0f} events a commit"
    return Figure(f"appended, {size} a call, {TASKS} tasks", count / seconds, remark)


async def _append_all(store: PostgresStore, waiting: Iterator[Sequence[NewEvent]]) -> None:
    for batch in waiting:
        while True:
            with suppress(StoreBusy):
                await store.append(batch)
                break
            await asyncio.sleep(0.005)


async def _fill(store: PostgresStore, count: int) -> None:
    for _ in range(count // _LARGEST_FILL):
        await asyncio.gather(
            *(store.append(_events(_BATCH)) for _ in range(_LARGEST_FILL // _BATCH))
        )


async def _taken(store: PostgresStore) -> int:
    """Claims and settles once; how many."""
    claims = await store.claim("tiktok", _BATCH, _LEASE, now())
    ends = [Settlement(claim.id, claim.fence, _DELIVERED) for claim in claims]
    return await store.settle(ends, now())


async def _drained(store: PostgresStore, what: str, count: int) -> Figure:
    began_at, taken = time.perf_counter(), 0
    while taken < count:
        taken += await _taken(store)
    return Figure(what, taken / (time.perf_counter() - began_at))


async def _cycled(store: PostgresStore, count: int) -> Figure:
    """Everything at once: events come in while others are claimed and settled."""
    began_at = time.perf_counter()
    await asyncio.gather(_appended(store, 100, count), _drained(store, "meanwhile", count))
    return Figure("whole cycle, both at once", count / (time.perf_counter() - began_at))


async def _in_turns(store: PostgresStore, full: PostgresStore, large: int) -> list[Figure]:
    """A small and a large backlog, so that both meet the same machine."""
    await _fill(store, _SMALL)
    turns = [await _turn(store, full) for _ in range(_TURNS)]
    small, big = (_rate(one) for one in zip(*turns, strict=True))
    return [
        Figure(f"claimed and settled, of {_SMALL:,} waiting", small),
        Figure(f"  of {large:,} waiting", big, f"{big / small:.0%} of that"),
    ]


async def _aged(store: PostgresStore, full: PostgresStore) -> list[Figure]:
    """Some minutes under an old transaction, in turns with a store that nobody holds back."""
    began_at, turns = time.perf_counter(), []
    while time.perf_counter() - began_at < _OLD_SECONDS:
        turns.append(await _turn(store, full))
    free, held = (_rate(one) for one in zip(*turns[-len(turns) // 4 :], strict=True))
    minutes = f"{_OLD_SECONDS / 60:g} minutes"
    return [
        Figure("claimed and settled, beside nobody", free),
        Figure(f"  beside a transaction of {minutes}", held, f"{held / free:.0%} of that"),
    ]


async def _turn(store: PostgresStore, full: PostgresStore) -> tuple[float, float]:
    """What a thousand of each take, in seconds; the first gets them back before."""
    await store.append(_events(_BATCH))
    return await _timed(store), await _timed(full)


async def _timed(store: PostgresStore) -> float:
    began_at = time.perf_counter()
    taken = await _taken(store)
    return (time.perf_counter() - began_at) * _BATCH / taken


def _rate(seconds: Sequence[float]) -> float:
    return _BATCH * len(seconds) / sum(seconds)


def _print(rows: list[Figure]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title=f"{os.cpu_count()} cores, {sys.version.split()[0]}")
    for heading in ("figure", "events/s", "remark"):
        table.add_column(heading, justify="right" if heading == "events/s" else "left")
    for row in rows:
        table.add_row(row.what, f"{row.per_second:,.0f}", row.remark)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

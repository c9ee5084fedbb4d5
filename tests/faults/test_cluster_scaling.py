"""Row 19. A backlog, delivered by one, two and four processes: how fast, in one run.

A comparison of this machine with itself, once with a partner who answers at once, where the
processors are the limit, and once with one who takes two seconds, where they are not. They are
stopped (SIGSTOP) while the backlog is made, and go on together.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault, running
from faults.cluster import Patient, database, node_of
from faults.conftest import Report, size_of
from faults.process import SERVE, Service, Shop, until

_SEED: Final = 20261128
_COUNTS: Final = (1, 2, 4)[: size_of(short=2, full=3)]
_LONGEST_SECONDS: Final = 300.0
_PARTNERS: Final = {
    "answered at once": (),
    "answered after 2 s": (parse_fault("accept_then_hang=2"),),
}
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_more_processes_deliver_a_backlog_faster(tmp_path: Path, report: Report) -> None:
    backlog = size_of(short=2_000, full=30_000)
    for words, faults in _PARTNERS.items():
        rates = {}
        for count in _COUNTS:
            sandbox = create_sandbox(
                clock=time.monotonic, access_tokens=frozenset({"access-token"}), faults=faults
            )
            rates[count] = await _rate(tmp_path / words / str(count), sandbox, count, backlog)
        told = ", ".join(
            f"{count}: {rate:,.0f} events/s (x{rate / rates[1]:.2f})"
            for count, rate in rates.items()
        )
        report(19, f"{backlog:,} events by so many processes, {words}: {told}")
        assert min(rates.values()) > backlog / _LONGEST_SECONDS


async def _rate(folder: Path, sandbox: Sandbox, count: int, backlog: int) -> float:
    """Events delivered in a second, by so many processes."""
    shop = Shop(_SEED)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(database())
        api_url = await stack.enter_async_context(running(sandbox))
        url = server.url("postgres")
        door = node_of(folder, "door", api_url, url, (*SERVE, "--role", "ingest"))
        hands = [
            node_of(folder, f"hand-{n}", api_url, url, (*SERVE, "--role", "deliver"))
            for n in range(count)
        ]
        await asyncio.gather(*(node.start() for node in (door, *hands)))
        _signal(hands, signal.SIGSTOP)
        await Patient(shop, door.url, most=1_000).post_all(backlog)
        await door.stop()
        began = time.monotonic()
        _signal(hands, signal.SIGCONT)
        await until(
            lambda: len(sandbox.ledger.conversions()) >= backlog, _LONGEST_SECONDS, "it arrived"
        )
        lasted = time.monotonic() - began
        for node in hands:
            await node.stop()
    assert shop.verdict(sandbox).is_flawless
    return backlog / lasted


def _signal(nodes: list[Service], number: signal.Signals) -> None:
    for node in nodes:
        assert node.process is not None
        node.process.send_signal(number)

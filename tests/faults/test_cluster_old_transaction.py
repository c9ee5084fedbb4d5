"""Row 17. Somebody leaves a transaction open, so that nothing old can be cleared away.

Claims go on meanwhile; where it stays for long, an alert names it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from conversion_relay.service.monitor.node_rules import NODE_RULES
from faults.availability import Availability
from faults.cluster import Cluster, Patient, cluster, database
from faults.conftest import Report, size_of
from faults.process import Shop, drained, slow_sandbox

_SEED: Final = 20261126
_HELD_SECONDS: Final = size_of(short=10, full=330)
_BEFORE_SECONDS: Final = size_of(short=5, full=30)
_LONGEST_DELAY_SECONDS: Final = 10.0
_RULE: Final = "old_transaction"
_ALERT_SECONDS: Final = size_of(short=0, full=60)
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_an_old_transaction_does_not_stop_delivery(
    tmp_path: Path, report: Report, availability: Availability
) -> None:
    assert _RULE in {rule.name for rule in NODE_RULES}
    shop = Shop(_SEED)
    sandbox, _ = slow_sandbox(_SEED)
    async with database() as server, cluster(tmp_path, sandbox, server) as running:
        segment = Patient(shop, running.url)
        async with segment.pressing():
            before = await _rate(running, _BEFORE_SECONDS)
            stranger = await running.connect()
            await stranger.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM events")
            meanwhile = await _rate(running, _HELD_SECONDS)
            alerted = await _alerted(running)
            await stranger.execute("ROLLBACK")
            await stranger.close()
        began = time.monotonic()
        await drained(shop, sandbox)
        lasted = time.monotonic() - began
    verdict = shop.verdict(sandbox)
    availability.add(segment.availability)
    report(
        17,
        f"a transaction open for {_HELD_SECONDS} s: {meanwhile:.0f} events/s delivered, "
        f"{before:.0f} before; alert {alerted or 'not due yet'}; {verdict}; "
        f"{segment.availability}",
    )
    assert verdict.is_flawless
    assert meanwhile > before / 4
    assert lasted < _LONGEST_DELAY_SECONDS
    assert alerted == (_RULE if _ALERT_SECONDS else None)


async def _rate(running: Cluster, seconds: float) -> float:
    """Events delivered in a second."""
    before = len(running.sandbox.ledger.conversions())
    await asyncio.sleep(seconds)
    return (len(running.sandbox.ledger.conversions()) - before) / seconds


async def _alerted(running: Cluster) -> str | None:
    """The rule whose alert is open, where it is due by now."""
    latest = time.monotonic() + _ALERT_SECONDS
    while time.monotonic() < latest:
        answer = await running.ask(running.nodes[0], "/api/alerts")
        if any(one["rule"] == _RULE and one["isOpen"] for one in answer.json()["alerts"]):
            return _RULE
        await asyncio.sleep(1)
    return None

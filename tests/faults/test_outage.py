"""A fourteen-hour outage of TikTok, in virtual time: nothing is lost, delivery resumes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.service.store.port import Store
from faults.conftest import Report, size_of
from support.events import order
from support.simulation import Mood, Simulation
from support.time import START, VirtualTime

_SEED = 20260114
_OUTAGE_BEGINS = START + timedelta(hours=1)
_OUTAGE_ENDS = _OUTAGE_BEGINS + timedelta(hours=14)
_LAST_EVENT = _OUTAGE_ENDS
_ARRIVALS = timedelta(minutes=1)
_MOODS: Sequence[Mood] = ("refused", "error", "timeout", "lost")
_BATCH, _IN_FLIGHT, _ANSWER_SECONDS = 1_000, 4, 0.15
_LANE_RATE = _BATCH * _IN_FLIGHT / _ANSWER_SECONDS


def _mood(at: datetime) -> Mood:
    """Up, but for the outage, in which it changes its face every few minutes."""
    if not _OUTAGE_BEGINS <= at < _OUTAGE_ENDS:
        return "up"
    phase = int((at - _OUTAGE_BEGINS) / timedelta(minutes=7))
    return Random(_SEED + phase).choice(_MOODS)  # noqa: S311 - a seeded test


def _payloads(first: int, count: int) -> list[bytes]:
    """Orders with messageIds that count up."""
    template = orjson.dumps(order("message-number"))
    return [template.replace(b"message-number", b"m-%d" % n) for n in range(first, first + count)]


async def _attempts(store: Store, names: Sequence[str]) -> Counter[int]:
    found: Counter[int] = Counter()
    for start in range(0, len(names), 5_000):
        records = await store.deliveries(names[start : start + 5_000])
        assert all(record.state is State.DELIVERED for record in records)
        found.update(record.attempts for record in records)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_fourteen_hour_outage_loses_nothing(tmp_path: Path, report: Report) -> None:
    total = size_of(quick=1_500, short=20_000, full=500_000)
    simulation = Simulation(tmp_path, _mood, _SEED, VirtualTime())
    await simulation.start()
    steps = int((_LAST_EVENT - START) / _ARRIVALS)
    for step in range(steps):
        first, following = total * step // steps, total * (step + 1) // steps
        await simulation.keep(_payloads(first, following - first))
        await simulation.run_to(START + (step + 1) * _ARRIVALS)
    burned_requests = sum(_OUTAGE_BEGINS <= at < _OUTAGE_ENDS for at in simulation.tiktok.sent)
    waiting = total - len(simulation.sandbox.ledger.conversions())
    requests = len(simulation.tiktok.sent)
    await simulation.run_until(lambda: len(simulation.tiktok.sent) > requests)
    first_delivery = simulation.tiktok.sent[requests] - _OUTAGE_ENDS
    await simulation.run_until(lambda: len(simulation.sandbox.ledger.conversions()) >= total)
    drained = (simulation.time.now - _OUTAGE_ENDS - first_delivery).total_seconds()
    ideal = waiting / _LANE_RATE
    attempts = await _attempts(simulation.store, sorted(simulation.acknowledged))
    await simulation.stop()

    conversions = simulation.sandbox.ledger.conversions()
    arrived = Counter(str(one.event_id) for one in conversions)
    report(
        3,
        f"14 h outage, {total:,} events, {burned_requests:,} requests during it: "
        f"{len(simulation.acknowledged - arrived.keys())} lost, "
        f"{sum(arrived.values()) - len(arrived)} twice; first delivery after "
        f"{first_delivery.total_seconds():.1f} s; {waiting:,} drained at {ideal / drained:.0%} of "
        f"the lane's rate; at most {max(attempts) - 1} attempts burned an event",
    )
    assert len(simulation.acknowledged) == total
    assert arrived.keys() == simulation.acknowledged
    assert max(arrived.values()) == 1
    assert all(one.altered_copies == 0 for one in conversions)
    assert first_delivery <= timedelta(seconds=30)
    assert max(attempts) - 1 <= 2
    assert drained <= ideal / 0.95 or total < 100_000, "a short backlog ends before it is at speed"
    assert burned_requests <= 14 * 3600 / 10 + 20, "one probe every ten seconds at the most"

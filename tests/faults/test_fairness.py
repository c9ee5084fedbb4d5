"""One dead lane of ten: the other nine are as fast as before.

The same service runs with ten lanes that work and with nine, in turns, and the times from post to
conversion are compared. Only the full size has enough of them for a ratio that means something on
a busy machine; every size shows that nothing waits for a request to the dead one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.sender import SenderLimits
from faults.conftest import Report, size_of
from faults.process import Segment, Service, Shop, until

_LANES = 10
_DEAD = "PIXEL9"
_PAUSE_SECONDS = 0.05
_BATCH = 4
_DEAD_REQUEST_SECONDS = SenderLimits().read_seconds
_MOST_SLOWER = 1.2


@dataclass
class _Times:
    """When events were posted, and how long they took to each healthy lane, in seconds."""

    posted_at: dict[str, float] = field(default_factory=dict)
    healthy: list[float] = field(default_factory=list)
    beside_a_dead_one: list[float] = field(default_factory=list)


def _configuration(folder: Path, api_url: str, dead_url: str) -> Path:
    """Ten destinations, of which the last has a TikTok of its own."""
    lines = [
        "[sources.default]",
        'signing_secrets = ["env:SEGMENT_SHARED_SECRET"]',
        'bearer_tokens = ["env:RELAY_BEARER_TOKEN"]',
    ]
    for number in range(_LANES):
        url = dead_url if f"PIXEL{number}" == _DEAD else api_url
        lines += [
            f"[destinations.pixel{number}]",
            f'pixel_code = "PIXEL{number}"',
            'access_token = "env:TIKTOK_ACCESS_TOKEN"',
            f'api_url = "{url}"',
        ]
    path = folder / "relay.toml"
    path.write_text("\n".join(lines))
    return path


async def _phase(
    segment: Segment, sandbox: Sandbox, requests: int, posted_at: dict[str, float]
) -> list[float]:
    """Posts at a steady pace; gives how long each event took to each healthy lane."""
    first = len(sandbox.ledger.conversions())
    async with segment.client() as client:
        for _ in range(requests):
            batch = segment.shop.events(_BATCH)
            posted_at |= {str(event["messageId"]): time.monotonic() for event in batch}
            assert await segment.post(client, batch) == 200
            await asyncio.sleep(_PAUSE_SECONDS)
    expected = first + requests * _BATCH * (_LANES - 1)
    await until(lambda: len(sandbox.ledger.conversions()) >= expected, 60, "the healthy drained")
    arrived = sandbox.ledger.conversions()[first:]
    return [one.arrived_at - posted_at[str(one.event_id)] for one in arrived]


def _p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_dead_lane_slows_no_other(tmp_path: Path, report: Report) -> None:
    rounds, requests = size_of(quick=1, short=2, full=6), size_of(quick=20, short=100, full=200)
    tokens = frozenset({"access-token"})
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=tokens)
    dying = create_sandbox(clock=time.monotonic, access_tokens=tokens)
    times, shop = _Times(), Shop(8)
    async with running_sandbox(sandbox) as api_url, running_sandbox(dying) as dead_url:
        configuration = _configuration(tmp_path, api_url, dead_url)
        service = Service(tmp_path, api_url, changes={"RELAY_CONFIG": str(configuration)})
        await service.start()
        segment = Segment(shop, service)
        for _ in range(rounds):
            times.healthy += await _phase(segment, sandbox, requests, times.posted_at)
            dying.faults.switch_on([parse_fault("timeout")])
            times.beside_a_dead_one += await _phase(segment, sandbox, requests, times.posted_at)
            dying.faults.switch_off()
            posted = len(shop.acknowledged)
            await until(lambda: len(dying.ledger.conversions()) >= posted, 60, "it came back")  # noqa: B023 - waited for here
        status, _ = await service.stop()
    before, beside = _p99(times.healthy), _p99(times.beside_a_dead_one)
    report(
        8,
        f"one dead lane of {_LANES}, {len(times.healthy) + len(times.beside_a_dead_one):,} "
        f"deliveries: p99 of the healthy {before * 1000:.0f} ms, beside the dead one "
        f"{beside * 1000:.0f} ms ({beside / before:.2f}x); nothing lost in either",
    )
    assert status == 0
    for one, lanes in ((sandbox, _LANES - 1), (dying, 1)):
        counted = [(c.event_source_id, c.event_id) for c in one.ledger.conversions()]
        assert len(counted) == len(set(counted)) == lanes * len(shop.acknowledged)
    assert beside < _DEAD_REQUEST_SECONDS, "none waited for a request that is never answered"
    assert beside / before <= (_MOST_SLOWER if size_of(short=0, full=1) else math.inf)

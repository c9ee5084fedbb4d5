"""A token that is revoked and renewed under load: the lane is held, and nothing dies of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from faults.conftest import Report, size_of
from faults.process import Segment, Service, Shop, drained, until

_OLD, _NEW = "first-access-token", "renewed-access-token"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_renewed_token_lets_a_held_lane_flow(tmp_path: Path, report: Report) -> None:
    rounds = size_of(quick=1, short=2, full=10)
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({_OLD}))
    file = tmp_path / "token"
    file.write_text(_OLD)
    changes = {"TIKTOK_ACCESS_TOKEN": "", "TIKTOK_ACCESS_TOKEN_FILE": str(file)}
    shop, slowest = Shop(9), 0.0
    async with running_sandbox(sandbox) as api_url:
        service = Service(tmp_path, api_url, changes=changes)
        await service.start()
        pressing = asyncio.create_task(Segment(shop, service, pause=0.2).press())
        for number in range(rounds):
            token = f"{_NEW}-{number}"
            slowest = max(slowest, await _revoked_and_renewed(sandbox, service, file, token))
        pressing.cancel()
        await asyncio.wait([pressing])
        await drained(shop, sandbox)
        status, _ = await service.stop()
    verdict = shop.verdict(sandbox)
    report(
        9,
        f"token revoked and renewed x{rounds} under load: {verdict}; "
        f"resumed after {slowest:.1f} s at the most",
    )
    words = str(service.lines())
    assert verdict.is_flawless
    assert verdict.acknowledged > 50 * rounds, "the load was real"
    assert slowest <= 10
    assert status == 0
    assert "delivery.dead" not in words
    assert _held(service) == rounds
    assert _OLD not in words
    assert _NEW not in words


def _held(service: Service) -> int:
    return sum(line["event"] == "lane.held" for line in service.lines())


async def _revoked_and_renewed(
    sandbox: Sandbox, service: Service, file: Path, token: str
) -> float:
    """Seconds from the renewal to the first conversion after it."""
    before = _held(service)
    counted = len(sandbox.ledger.conversions())
    await until(lambda: len(sandbox.ledger.conversions()) > counted, 20, "it delivers")
    sandbox.access_tokens = frozenset({token})
    held = before + 1
    await until(lambda: _held(service) == held, 20, "it is held")
    await asyncio.sleep(1)
    counted, began = len(sandbox.ledger.conversions()), time.monotonic()
    await asyncio.to_thread(file.write_text, token)
    await until(lambda: len(sandbox.ledger.conversions()) > counted, 30, "it delivers again")
    return time.monotonic() - began

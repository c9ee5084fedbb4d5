"""Row 11. The service is asked to stop, whatever it is doing; then a new release takes over.

Nothing is lost, nothing counts twice, and within 15 seconds it has ended, even while TikTok hangs.
"""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Final

import apsw
import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault, running
from faults.conftest import Report, size_of
from faults.judge import Verdict
from faults.old_release import write_backlog
from faults.process import Segment, Service, Shop, drained, slow_sandbox, until
from support.running import BEARER

_SEED: Final = 20261123
_LONGEST_SECONDS: Final = 15.0
_AT_ONCE_SECONDS: Final = 5.0  # the graceful stop takes 8 s here; a busy machine takes its time
_BACKLOG: Final = 300
_TAKES_ITS_TIME: Final = pytest.mark.skipif(
    not size_of(quick=0, short=1, full=1), reason="takes its time: make test-faults"
)


async def _hang(sandbox: Sandbox, segment: Segment) -> None:
    """TikTok takes requests and never answers; several are on their way, and more wait."""
    sandbox.faults.switch_on([parse_fault("timeout")])
    await segment.post_all(_BACKLOG)
    await until(lambda: _hangs(sandbox), 10, "a request is on its way")


def _hangs(sandbox: Sandbox) -> bool:
    """Whether a request waits for its answer."""
    return any(isinstance(fault, dict) and fault["struck"] for fault in sandbox.faults.as_json())


async def _half_a_request(service: Service) -> asyncio.StreamWriter:
    """A client that never gets to the end of what it sends."""
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    head = f"POST /webhook/default HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {BEARER}\r\n"
    writer.write(f'{head}Content-Length: 5000\r\n\r\n[{{"type": "track",'.encode())
    await writer.drain()
    return writer


@pytest.mark.slow
async def test_a_stop_under_load_loses_nothing(tmp_path: Path, report: Report) -> None:
    stops = size_of(quick=1, short=8, full=50)
    draw, shop = random.Random(_SEED), Shop(_SEED)  # noqa: S311 - repeatable on purpose
    sandbox, _ = slow_sandbox(_SEED)
    ends: list[tuple[int, float]] = []
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        segment = Segment(shop, service)
        for _ in range(stops):
            await service.start()
            pressing = asyncio.create_task(segment.press())
            await asyncio.sleep(draw.uniform(0, 0.8))
            ends.append(await service.stop())
            await pressing
        await service.start()
        await drained(shop, sandbox)
        ends.append(await service.stop())
    verdict = shop.verdict(sandbox)
    slowest = max(seconds for _, seconds in ends)
    copies = sum(one.copies for one in sandbox.ledger.conversions())
    report(
        11,
        f"SIGTERM x{stops} under load: {verdict}; {copies} copies sent; slowest exit "
        f"{slowest:.1f} s",
    )
    assert {status for status, _ in ends} == {0}
    assert slowest <= _LONGEST_SECONDS
    assert verdict.is_flawless
    assert verdict.acknowledged > 10 * stops, "the load was real"


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_a_stop_while_tiktok_hangs_comes_to_its_end(tmp_path: Path, report: Report) -> None:
    """With a client that hangs as well."""
    shop, sandbox = Shop(_SEED), _honest()
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        segment = Segment(shop, service)
        await service.start()
        await _hang(sandbox, segment)
        client = await _half_a_request(service)
        status, seconds = await service.stop()
        client.close()
        verdict = await _verdict_afterwards(segment, sandbox)
    report(
        11,
        f"SIGTERM while TikTok and a client hang: exit {status} after {seconds:.1f} s; {verdict}",
    )
    assert status == 0
    assert seconds <= _LONGEST_SECONDS
    assert verdict.is_flawless
    assert verdict.conversions == _BACKLOG


@pytest.mark.slow
@_TAKES_ITS_TIME
async def test_a_second_signal_ends_it_at_once(tmp_path: Path, report: Report) -> None:
    shop, sandbox = Shop(_SEED), _honest()
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        segment = Segment(shop, service)
        process = await service.start()
        await _hang(sandbox, segment)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert process.returncode is None, "it waits for what is on its way"
        status, seconds = await service.stop()
        verdict = await _verdict_afterwards(segment, sandbox)
    report(11, f"second SIGTERM: exit {status} after {seconds:.2f} s; {verdict}")
    assert status == 128 + signal.SIGTERM
    assert seconds <= _AT_ONCE_SECONDS
    assert verdict.is_flawless
    assert verdict.conversions == _BACKLOG


async def _verdict_afterwards(segment: Segment, sandbox: Sandbox) -> Verdict:
    """TikTok is well again, and the service is started again."""
    sandbox.faults.switch_off()
    await segment.service.start()
    await drained(segment.shop, sandbox)
    await segment.service.stop()
    return segment.shop.verdict(sandbox)


@pytest.mark.slow
async def test_an_upgrade_takes_the_backlog_over(tmp_path: Path, report: Report) -> None:
    """A database as the first release left it: what waits goes out, what was seen is known."""
    backlog = size_of(quick=300, short=3_000, full=100_000)
    shop, sandbox = Shop(_SEED), _honest()
    folder = tmp_path / "data"
    events = shop.events(backlog)
    write_backlog(folder / "relay.db", events)
    shop.acknowledged |= shop.posted.keys()
    async with running(sandbox) as api_url:
        service = Service(tmp_path, api_url)
        await service.start()
        segment = Segment(shop, service, most=1_000)
        async with segment.client() as client:
            assert await segment.post(client, events[: segment.most]) == 200
        await segment.post_all(20)
        await drained(shop, sandbox, seconds=300)
        status, seconds = await service.stop()
    verdict = shop.verdict(sandbox)
    copies = sum(one.copies for one in sandbox.ledger.conversions())
    schema = apsw.Connection(str(folder / "relay.db")).pragma("user_version")
    report(
        11,
        f"upgrade from schema 1 to {schema} with a backlog of {backlog:,}: ready after "
        f"{service.slowest_start:.1f} s, {verdict}; {copies} copies sent; exit after "
        f"{seconds:.1f} s",
    )
    assert status == 0
    assert schema > 1
    assert verdict.is_flawless
    assert verdict.conversions == backlog + 20
    assert copies == 0, "the ledger of the old release is known"


def _honest() -> Sandbox:
    return create_sandbox(
        clock=asyncio.get_running_loop().time, access_tokens=frozenset({"access-token"})
    )

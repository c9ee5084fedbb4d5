"""Row 5. Every class of TikTok's behaviours, each on a lane of its own, all at the same time.

One real process, a sandbox for each lane. The answers fall into the right class, lanes do what
they should, memory does not grow; and once TikTok behaves again, all that is not dead arrives.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from conversion_relay.sandbox import Sandbox, create_sandbox, running
from faults.behaviours import Behaviour, behaviours
from faults.conftest import Report, size_of
from faults.judge import Verdict, judge
from faults.process import Segment, Service, Shop, until

_SEED: Final = 20261125
_MET_SECONDS: Final = 90
_RECOVERED_SECONDS: Final = 90
_MEBIBYTE: Final = 1024 * 1024
_MOST_GROWTH: Final = 50 * _MEBIBYTE
_HEAD: Final = """
[sources.default]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
"""
_DESTINATION: Final = """
[destinations.{name}]
pixel_code = "PIXEL"
access_token = "env:TIKTOK_ACCESS_TOKEN"
api_url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Way:
    """A lane of the service, and the sandbox at its end."""

    behaviour: Behaviour
    sandbox: Sandbox
    url: str

    def results(self, lines: Sequence[dict[str, object]]) -> set[object]:
        """The classes of the answers, as these lines have them."""
        mine = [line for line in lines if line.get("destination") == self.behaviour.name]
        answered = {"delivery.accepted": "accepted", "delivery.failed": None}
        return {
            answered[str(line["event"])] or line["result"]
            for line in mine
            if line["event"] in answered
        }

    def became(self, lines: Sequence[dict[str, object]]) -> set[object]:
        """What these lines say that the lane became."""
        mine = [line for line in lines if line.get("destination") == self.behaviour.name]
        return {str(line["event"])[5:] for line in mine if str(line["event"]).startswith("lane.")}

    def is_met(self, lines: Sequence[dict[str, object]]) -> bool:
        """Whether an answer came, and the lane became something if it has to."""
        return bool(self.results(lines)) and (not self.behaviour.lane or bool(self.became(lines)))

    def is_right(self, lines: Sequence[dict[str, object]]) -> bool:
        """Whether every answer fell into the right class, and the lane did nothing else."""
        lane = {self.behaviour.lane} - {None}
        lane_is_right = self.behaviour.is_slow or self.became(lines) == lane
        return lane_is_right and self.results(lines) == {self.behaviour.result}


@asynccontextmanager
async def _ways(chosen: Sequence[Behaviour]) -> AsyncIterator[list[Way]]:
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        ways: list[Way] = []
        for one in chosen:
            sandbox = create_sandbox(clock=clock, access_tokens=frozenset({"access-token"}))
            ways.append(Way(one, sandbox, await stack.enter_async_context(running(sandbox))))
        yield ways


def _configured(folder: Path, ways: Sequence[Way]) -> Service:
    file = folder / "relay.toml"
    parts = [_DESTINATION.format(name=way.behaviour.name, url=way.url) for way in ways]
    file.write_text(_HEAD + "".join(parts))
    return Service(folder, "http://127.0.0.1:9", changes={"RELAY_CONFIG": str(file)})


def _memory(service: Service, field: str) -> int:
    """Bytes of the process, VmRSS at present or VmHWM at the most."""
    assert service.process is not None
    text = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if field in line)


def _forget_the_peak(service: Service) -> None:
    assert service.process is not None
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


async def _post(segment: Segment, count: int) -> set[str]:
    """Posts so many events one by one, each of which goes to every lane."""
    known = set(segment.shop.acknowledged)
    async with segment.client() as client:
        for event in segment.shop.events(count):
            assert await segment.post(client, [event]) == httpx.codes.OK
    return segment.shop.acknowledged - known


def _accepted(service: Service) -> set[tuple[str, int]]:
    """How many events each lane had accepted, by its name."""
    counts = Counter[str]()
    for line in service.lines():
        if line["event"] == "delivery.accepted":
            counts[str(line["destination"])] += int(str(line["events"]))
    return set(counts.items())


def _verdict(way: Way, shop: Shop, tried: set[str]) -> Verdict:
    expected = shop.acknowledged - (set() if way.behaviour.arrives else tried)
    return judge(way.sandbox.ledger.conversions(), expected, shop.posted)


def _chosen(*, everything: bool) -> Sequence[Behaviour]:
    """All of them, or one of each kind that takes little time to get over."""
    known = behaviours(hostile_copies=size_of(quick=1, short=2, full=5))
    if everything:
        return known
    quick = [one for one in known if one.lane is None and not one.is_slow]
    return list({(one.result, str(one.fault).partition("=")[0]): one for one in quick}.values())


@pytest.mark.slow
async def test_each_behaviour_falls_into_its_class(tmp_path: Path, report: Report) -> None:
    chosen = _chosen(everything=bool(size_of(quick=0, short=1, full=1)))
    shop = Shop(_SEED)
    async with _ways(chosen) as ways:
        service = _configured(tmp_path, ways)
        await service.start()
        segment = Segment(shop, service)
        await _post(segment, 3)
        warmed = {(way.behaviour.name, len(shop.acknowledged)) for way in ways}
        await until(lambda: _accepted(service) >= warmed, _MET_SECONDS, "every lane is warm")
        warm, before = _memory(service, "VmRSS"), len(service.lines())
        _forget_the_peak(service)
        for way in ways:
            way.sandbox.faults.switch_on(way.behaviour.faults())
        tried = await _post(segment, 1)
        await until(
            lambda: all(way.is_met(service.lines()[before:]) for way in ways),
            _MET_SECONDS,
            "every behaviour was met",
        )
        met = service.lines()[before:]
        for way in ways:
            way.sandbox.faults.switch_off()
        await until(
            lambda: all(not _verdict(way, shop, tried).missing for way in ways),
            _RECOVERED_SECONDS,
            "everything arrived",
        )
        growth = _memory(service, "VmHWM") - warm
        assert (await service.stop())[0] == 0
    wrong = {
        way.behaviour.name: (way.results(met), way.became(met))
        for way in ways
        if not way.is_right(met)
    }
    flawed = [way.behaviour.name for way in ways if not _verdict(way, shop, tried).is_flawless]
    dead = {line["destination"] for line in service.lines() if line["event"] == "delivery.dead"}
    report(
        5,
        f"{len(ways)} behaviours at once: {len(ways) - len(wrong)} in the right class, "
        f"{len(dead)} refused for good, {len(flawed)} lanes with anything lost, twice or altered; "
        f"memory grew by {growth / _MEBIBYTE:.0f} MB at most, from {warm / _MEBIBYTE:.0f} MB",
    )
    assert not wrong
    assert not flawed
    assert dead == {one.name for one in chosen if not one.arrives}
    partial = [line for line in met if line.get("destination") == "partial"]
    assert any("Partial OK" in str(line.get("notes")) for line in partial), "logged whole"
    assert growth < _MOST_GROWTH

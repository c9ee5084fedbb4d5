"""Row 7: a broken mapping spoils events; mended, they are replayed, again and again.

Each way in which a mapping breaks: TikTok refuses what it makes, no trigger matches, a required
field is missing. The commands run as processes of their own, without a service and beside one.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from faults.conftest import Report, size_of
from faults.process import Segment, Service, Shop, drained
from support.running import ADMIN, environment

PRESETS = Path(__file__).parents[2] / "presets" / "tiktok-conversions.json"


def _refused(preset: JsonObject) -> JsonObject:
    """Sends the buyer's address unhashed where TikTok expects something else."""
    mapping = cast("JsonObject", preset["mapping"])
    return preset | {"mapping": mapping | {"locale": {"@path": "$.context.traits.email"}}}


def _unmatched(preset: JsonObject) -> JsonObject:
    """Waits for an event that nobody sends."""
    return preset | {"subscribe": 'event = "Renamed"'}


def _rejected(preset: JsonObject) -> JsonObject:
    """Looks for the name of the event where there is none."""
    mapping = cast("JsonObject", preset["mapping"])
    return preset | {"mapping": mapping | {"event": {"@path": "$.properties.nothing"}}}


@dataclass(frozen=True, slots=True)
class Operator:
    """Gives commands, as processes with the service's variables."""

    service: Service
    state: str

    async def replay(self, *options: str) -> str:
        """What the command printed."""
        variables = environment(
            self.service.folder / "data", self.service.api_url, RELAY_PORT=str(self.service.port)
        )
        command = ("-m", "conversion_relay", "replay", "--state", self.state, *options)
        process = await create_subprocess_exec(
            sys.executable, *command, env=variables, stdout=PIPE, stderr=PIPE
        )
        said, complained = await process.communicate()
        assert (process.returncode, complained) == (0, b""), (said, complained)
        return said.decode()

    async def spoilt(self, client: httpx.AsyncClient) -> int:
        """How many are in that state, by the service's own count."""
        answer = await client.get("/api/status", headers={"Authorization": f"Bearer {ADMIN}"})
        status = answer.json()
        counts = status["events"] | status["deliveries"].get("tiktok", {})
        return int(counts.get(self.state, 0))


def _total(said: str, heading: str) -> int:
    """The count below that heading, where it is the only one."""
    assert re.search(rf"^ *event +{heading}$", said, re.MULTILINE), said
    (total,) = re.findall(r"^ *all +([\d,]+)$", said, re.MULTILINE)
    return int(total.replace(",", ""))


async def _spoil(service: Service, segment: Segment, operator: Operator, count: int) -> None:
    """Has the events acknowledged while the mapping is broken."""
    await service.start()
    await segment.post_all(count)
    async with segment.client() as client:
        deadline = time.monotonic() + 100
        while await operator.spoilt(client) < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)  # a token may ask 50 times a second
    assert (await service.stop())[0] == 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the commands counted: in the dry run, without a service, beside one, afterwards."""

    counted: int
    part: int
    rest: int
    arrived: int

    def __str__(self) -> str:
        return f"dry run {self.counted:,}, sent {self.part:,} + {self.rest:,}"


async def _mend(service: Service, operator: Operator, shop: Shop, sandbox: Sandbox) -> Figures:
    """Replays with the mended mapping: some without a service, all beside it, and all again."""
    service.changes = {}
    counted = _total(await operator.replay(), "would be sent")
    part = _total(await operator.replay("--event", "Order Completed", "--send"), "sent")
    await service.start()
    rest = _total(await operator.replay("--send"), "sent")
    await drained(shop, sandbox)
    for _ in range(2):
        assert "Nothing is kept" in await operator.replay("--send")
    said = await operator.replay("--state", "delivered", "--send")
    assert (await service.stop())[0] == 0
    assert "Nothing is kept" in await operator.replay("--send")
    await service.start()
    await drained(shop, sandbox)
    assert (await service.stop())[0] == 0
    return Figures(counted, part, rest, _total(said, "already delivered"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "state"),
    [(_refused, "dead"), (_unmatched, "unmatched"), (_rejected, "rejected")],
    ids=["refused", "unmatched", "rejected"],
)
async def test_what_a_broken_mapping_spoilt_arrives_once(
    tmp_path: Path, report: Report, broken: Callable[[JsonObject], JsonObject], state: str
) -> None:
    count = size_of(1_000, 1_000, quick=200)
    if state != "rejected" and size_of(quick=0, short=1, full=1) == 0:
        pytest.skip("takes its time: make test-faults")
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    mappings = tmp_path / "broken.json"
    mappings.write_bytes(orjson.dumps([broken(one) for one in _presets()]))
    async with running_sandbox(sandbox) as api_url:
        service = Service(tmp_path, api_url, changes={"RELAY_MAPPINGS": str(mappings)})
        shop, operator = Shop(seed=7), Operator(service, state)
        segment = Segment(shop, service, most=100)
        await _spoil(service, segment, operator, count)
        assert sandbox.ledger.conversions() == ()

        figures = await _mend(service, operator, shop, sandbox)

    verdict = shop.verdict(sandbox)
    report(7, f"{state}: {figures}; {verdict}")
    assert (figures.counted, figures.part + figures.rest, figures.arrived) == (count,) * 3
    assert figures.part > 0
    assert figures.rest > 0
    assert verdict.is_flawless
    assert (verdict.acknowledged, verdict.conversions) == (count, count)
    assert all(one.copies == 0 for one in sandbox.ledger.conversions())


def _presets() -> Sequence[JsonObject]:
    presets: list[JsonObject] = orjson.loads(PRESETS.read_bytes())["presets"]
    return presets

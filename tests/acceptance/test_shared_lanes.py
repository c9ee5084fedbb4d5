"""Two relays over one PostgreSQL: TikTok sees one lane, and one configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from conversion_relay.core.lane import Condition, LanePolicy
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import newest_version, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.steps import Ask, Result
from support.events import track
from support.lines import Lines
from support.nodes import over
from support.postgres import new_database
from support.running import World, environment

_BOUND_SECONDS = 20
_NAMES = ("one", "two")
_PROBES = (0.5, 1.0)
"""In the place of 10 and 20 seconds."""
_TOML = """
[service]
database_url = "DATABASE"
encryption_key = "env:RELAY_ENCRYPTION_KEY"
weak_durability = true
[sources.web]
bearer_tokens = ["env:BEARER"]
[destinations.us]
pixel_code = "PIXEL"
access_token = "env:TOKEN"
api_url = "SANDBOX"
"""


@dataclass(slots=True)
class Place:
    """Where nodes can be: a database and a sandbox."""

    folder: Path
    url: str
    api_url: str
    sandbox: Sandbox

    @asynccontextmanager
    async def nodes(self, policy: LanePolicy) -> AsyncIterator[list[World]]:
        """Two, whose lanes have this policy."""
        async with AsyncExitStack() as stack:
            worlds = []
            for name in _NAMES:
                changes = over(self.url, RELAY_NODE_NAME=name, RELAY_CANARY="false")
                configuration = load(environment(self.folder, self.api_url, **changes))
                log = Lines()
                relay = await stack.enter_async_context(open_relay(configuration, log))
                _hold_to(relay, policy)
                await stack.enter_async_context(relay.delivering())
                transport = httpx.ASGITransport(app=relay.http)
                client = httpx.AsyncClient(transport=transport, base_url="http://relay")
                await stack.enter_async_context(client)
                worlds.append(World(relay, self.sandbox, client, log))
            yield worlds

    @asynccontextmanager
    async def configured(self, name: str, **secrets: str) -> AsyncIterator[Relay]:
        """A node with a file of its own."""
        variables = over(self.url, RELAY_NODE_NAME=name, BEARER="bearer", TOKEN="access-token")
        files = Files(variables | secrets, self.write(name))
        start, log = await start_of(files, newest_version, strict=False), Lines()
        async with open_relay(start.candidate.configuration, log, start=start) as relay:
            assert relay.reloader is not None
            await relay.reloader.begin(start)
            async with relay.delivering():
                await until(lambda: self._is_there(relay))
                yield relay

    def write(self, name: str, old: str = "", new: str = "") -> Path:
        """Its file, with something else in a place of it."""
        text = _TOML.replace("SANDBOX", self.api_url).replace("DATABASE", self.url)
        (self.folder / name).mkdir(exist_ok=True)
        path = self.folder / name / "relay.toml"
        path.write_text(text.replace(old, new) if old else text)
        return path

    async def _is_there(self, relay: Relay) -> bool:
        cluster = relay.store.cluster
        assert cluster is not None
        return cluster.node in {one.node for one in await cluster.nodes()}

    def times(self) -> list[float]:
        """When requests came, seconds."""
        entries = self.sandbox.journal.latest(1000)
        return [float(str(entry["received_at"])) for entry in entries]


def _hold_to(relay: Relay, policy: LanePolicy) -> None:
    for worker in relay.workers.values():
        worker.dispatch.lane.policy = policy
        worker.dispatch.lane.__post_init__()


async def until(condition: Callable[[], object]) -> None:
    """Until it holds, within a bound; it may have to be waited for."""
    async with asyncio.timeout(_BOUND_SECONDS):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """No node is there yet."""
    loop = asyncio.get_running_loop()
    tokens = frozenset({"access-token", "other-token"})
    sandbox = create_sandbox(clock=loop.time, access_tokens=tokens)
    async with running_sandbox(sandbox) as api_url:
        yield Place(tmp_path, await asyncio.to_thread(new_database), api_url, sandbox)


async def test_while_tiktok_is_away_two_nodes_probe_as_one(place: Place) -> None:
    least, most = _PROBES
    policy = LanePolicy(
        probe_least=_seconds(least), probe_most=_seconds(most), doubt_pause=_seconds(0.2)
    )
    place.sandbox.faults.switch_on([parse_fault("server_error=503")])
    async with place.nodes(policy) as worlds:
        for number, one in enumerate(worlds):
            await one.post([track("Order Completed", f"m-{number}-{n}") for n in range(20)])
        lanes = [worker for one in worlds for worker in one.relay.workers.values()]
        await until(lambda: all(one.lane.condition is Condition.OPEN for one in lanes))
        place.sandbox.journal.forget()
        await until(lambda: len(place.times()) >= 8)
        gaps = [later - earlier for earlier, later in pairwise(place.times())]
        assert min(gaps) > 0.8 * least
        place.sandbox.faults.switch_off()
        for one in worlds:
            assert len(await one.settled()) == 40
        assert {one.lane.condition for one in lanes} <= {Condition.FLOWING}


async def test_two_nodes_keep_to_one_rate_and_halve_it_once(place: Place) -> None:
    policy = LanePolicy(
        requests_per_second=40,
        batch=1,
        probe_least=_seconds(0.3),
        probe_most=_seconds(0.6),
    )
    async with place.nodes(policy) as worlds:
        for number, one in enumerate(worlds):
            await one.post([track("Order Completed", f"m-{number}-{n}") for n in range(50)])
        await until(lambda: len(place.times()) >= 60)
        assert _most_within_a_second(place.times()) <= 44
        place.sandbox.faults.switch_on([parse_fault("throttle=1,count=2")])
        lanes = [worker for one in worlds for worker in one.relay.workers.values()]
        await until(lambda: all(one.lane.condition is Condition.THROTTLED for one in lanes))
        cluster = worlds[0].relay.store.cluster
        assert cluster is not None
        shared = await cluster.lane("tiktok")
        assert shared is not None
        lane = shared.lane
        assert lane.per_second == max(lane.last_rate, float(lane.count)) / 2, "and not a quarter"
        for one in worlds:
            assert len(await one.settled()) == 100
        assert _most_within_a_second(place.times()) <= 44


async def test_two_nodes_agree_on_a_configuration(place: Place) -> None:
    async with (
        place.configured("one", OTHER="other-token") as first,
        place.configured("two") as second,
    ):
        assert first.reloader is not None
        assert second.reloader is not None
        assert first.reloader.version == second.reloader.version == 1
        place.write("one", '"PIXEL"', '"PIXEL-2"')
        reloaded = await first.reloader.reload(Ask("api"))
        assert (reloaded.result, reloaded.problems) == (Result.ADOPTED, ())
        await until(lambda: _pixel(second) == "PIXEL-2")
        await until(lambda: second.reloader is not None and second.reloader.version == 2)
        place.write("one", '"env:TOKEN"', '"env:OTHER"')
        refused = await first.reloader.reload(Ask("api"))
        assert refused.result is Result.REFUSED
        assert refused.problems[0].sentence.startswith("node two cannot run it: ")
        rolled = await second.reloader.rollback(1, Ask("rollback"))
        assert rolled is not None
        assert (rolled.result, rolled.version) == (Result.ADOPTED, 3)
        await until(lambda: _pixel(first) == "PIXEL")
        await until(lambda: first.reloader is not None and first.reloader.version == 3)
        place.write("three", '"PIXEL"', '"PIXEL-3"')
        variables = over(place.url, RELAY_NODE_NAME="three", BEARER="bearer", TOKEN="access-token")
        files = Files(variables, place.folder / "three" / "relay.toml")
        start, log = await start_of(files, newest_version, strict=False), Lines()
        async with open_relay(start.candidate.configuration, log, start=start) as third:
            assert third.reloader is not None
            await third.reloader.begin(start)
            assert _pixel(third) == "PIXEL", "it begins with what the others run"


def _pixel(relay: Relay) -> str:
    return relay.configuration.destinations["us"].pixel_code


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _most_within_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1 for at in times) for start in times)

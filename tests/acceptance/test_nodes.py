"""Several relays over one PostgreSQL: what one takes in another delivers; the sandbox judges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from conversion_relay.core.values import Json
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from conversion_relay.service.store.cluster import Role
from support.events import track
from support.lines import Lines
from support.nodes import over
from support.postgres import new_database
from support.running import ADMIN, World, environment, world

_BOUND_SECONDS = 20
_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


@dataclass(slots=True)
class Place:
    """Where nodes can be: a database and a sandbox."""

    folder: Path
    url: str
    api_url: str
    sandbox: Sandbox

    @asynccontextmanager
    async def node(self, name: str, role: Role = Role.ALL) -> AsyncIterator[World]:
        """One that runs."""
        changes = over(self.url, RELAY_NODE_NAME=name, RELAY_CANARY="false")
        configuration = load(environment(self.folder, self.api_url, **changes))
        log = Lines()
        async with open_relay(configuration, log, role=role) as relay, relay.delivering():
            await _until_it_is_there(relay)
            transport = httpx.ASGITransport(app=relay.http)
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                yield World(relay, self.sandbox, client, log)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """No node is there yet."""
    loop = asyncio.get_running_loop()
    sandbox = create_sandbox(clock=loop.time, access_tokens=frozenset({"access-token"}))
    async with running_sandbox(sandbox) as api_url:
        yield Place(tmp_path, await asyncio.to_thread(new_database), api_url, sandbox)


async def _until_it_is_there(relay: Relay) -> None:
    cluster = relay.store.cluster
    assert cluster is not None
    async with asyncio.timeout(_BOUND_SECONDS):
        while cluster.node not in {one.node for one in await cluster.nodes()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _nodes(asked: World) -> dict[str, dict[str, object]]:
    answer = await asked.client.get("/api/nodes", headers=_ADMIN)
    return {one["node"]: one for one in answer.raise_for_status().json()["nodes"]}


async def test_what_one_node_takes_in_another_delivers_once(place: Place) -> None:
    async with place.node("in", Role.INGEST) as taking, place.node("out", Role.DELIVER) as giving:
        events: list[Json] = [track("Order Completed", f"m-{number}") for number in range(40)]
        for first in range(0, 40, 4):
            assert (await taking.post(events[first : first + 4])).status_code == 200
        assert (await taking.post(events[:20])).json()["duplicates"] == 20
        found = await giving.settled()
        assert sorted(str(one.event_id) for one in found) == sorted(
            f"m-{number}" for number in range(40)
        )
        assert {conversion.copies for conversion in found} == {0}
        assert taking.relay.workers == {}
        assert "delivery.accepted" not in taking.log.events
        for one in (taking, giving):
            assert (await one.client.get("/readyz")).status_code == 200


async def test_two_nodes_that_do_all_deliver_everything_once(place: Place) -> None:
    async with place.node("one") as one, place.node("two") as two:
        events: list[Json] = [track("Order Completed", f"m-{number}") for number in range(60)]
        posts = (
            (one, two)[number % 2].post(events[number * 3 : number * 3 + 6])  # each event twice
            for number in range(20)
        )
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} == {200}
        assert sum(answer.json()["accepted"] for answer in answers) == 60
        found = await two.settled()
        assert sorted(str(one.event_id) for one in found) == sorted(
            f"m-{number}" for number in range(60)
        )
        assert {one.copies for one in found} == {0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/webhook/default"),
        ("PUT", "/webhook/default/"),
        ("POST", "/v1/track"),
        ("POST", "/v1/batch/"),
    ],
)
async def test_a_node_that_delivers_says_where_events_go(
    place: Place, method: str, path: str
) -> None:
    async with place.node("out", Role.DELIVER) as node:
        answer = await node.client.request(method, path, content=b"[]")
        problem = answer.json()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["type"] == "urn:conversion-relay:problem:delivers-only"
        assert (problem["code"], problem["message"]) == ("delivers-only", problem["detail"])
        assert "--role ingest" in problem["detail"]
        event = "webhook.refused" if path.startswith("/webhook") else "tracking.refused"
        assert [line[1] for line in node.log.lines if line[0] == "warning"] == [event]
        assert (await node.client.get("/metrics")).text.count('problem="delivers-only"') == 1
        assert node.relay.canary is None


async def test_every_node_lists_the_others(place: Place) -> None:
    async with place.node("one") as one:
        async with place.node("two", Role.INGEST) as two:
            for asked, name in ((one, "one"), (two, "two")):
                status = (await asked.client.get("/api/status", headers=_ADMIN)).json()
                assert status["node"] == name
                shown = await _nodes(asked)
                assert {name: found["role"] for name, found in shown.items()} == {
                    "one": "all",
                    "two": "ingest",
                }
                assert all(found["isHere"] for found in shown.values())
        assert set(await _nodes(one)) == {"one"}, "it said goodbye"


async def test_a_node_that_is_gone_without_a_word_is_lost(place: Place) -> None:
    async with place.node("one") as one:
        connection = await asyncpg.connect(place.url)
        await connection.execute(
            "INSERT INTO nodes SELECT 'gone', role, release, address, started_at, "
            "seen_at - interval '1 min', 0, NULL, '{}' FROM nodes"
        )
        await connection.close()
        shown = (await _nodes(one))["gone"]
        assert shown["isHere"] is False
        assert float(str(shown["silentSeconds"])) >= 60
        assert (await one.client.get("/readyz")).status_code == 200


async def test_a_database_of_one_process_has_no_nodes(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        answer = await one.client.get("/api/nodes", headers=_ADMIN)
        assert answer.json() == {"node": None, "nodes": []}
        assert (await one.client.get("/api/status", headers=_ADMIN)).json()["node"] is None

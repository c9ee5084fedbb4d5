"""Health, readiness, metrics, the admin paths and their token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conversion_relay import __version__
from conversion_relay.core.values import Json
from conversion_relay.service.app import open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from support.events import order, track
from support.lines import Lines
from support.running import ADMIN, World, environment, world

ADMIN_PATHS = [
    *("/", "/api", "/api/status", "/api/deliveries?message_id=m", "/api/openapi.json"),
    *("/api/events", "/api/events/1", "/api/replays", "/api/discards"),
    *("/api/flow", "/api/waiting", "/api/requests", "/api/alerts", "/api/sources"),
    *("/%0A", "/api%0A", "/%61pi/status", "/api%2Fstatus", "/api/status%0A"),
]
TOKEN = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


def problem(answer: httpx.Response, slug: str) -> None:
    """Checks that the answer is a problem document of that kind."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:conversion-relay:problem:{slug}"
    assert document["status"] == answer.status_code
    assert document["detail"].endswith((".", "…"))


async def test_health_says_that_the_process_answers(here: World) -> None:
    answer = await here.client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": __version__}


async def test_readiness_with_workers_and_store(here: World) -> None:
    answer = await here.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_not_ready_without_workers(tmp_path: Path) -> None:
    configuration = load(environment(tmp_path, "http://127.0.0.1:9"))
    async with open_relay(configuration, Lines()) as relay, _client(relay) as client:
        before = await client.get("/readyz")
        async with relay.delivering():
            during = await client.get("/readyz")
        after = await client.get("/readyz")
    assert [one.status_code for one in (before, during, after)] == [503, 200, 503]
    assert before.headers["retry-after"] == "1"
    problem(before, "not-ready")


async def test_not_ready_without_its_store(here: World) -> None:
    await here.relay.store.close()
    answer = await here.client.get("/readyz")
    assert answer.status_code == 503
    problem(answer, "not-ready")
    assert (await here.client.get("/healthz")).status_code == 200


def _client(relay: Relay, *, raising: bool = True) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=relay.http, raise_app_exceptions=raising)
    return httpx.AsyncClient(transport=transport, base_url="http://relay")


WRONG = [
    None,
    "Bearer wrong",
    ADMIN,
    f"Basic {ADMIN}",
    "Bearer bearer-token",
    "Bearer ",
    "Bearer \xe9",
]


@pytest.mark.parametrize("given", WRONG)
async def test_a_wrong_token_opens_nothing(here: World, given: str | None) -> None:
    headers = [] if given is None else [(b"Authorization", given.encode("latin-1"))]
    answer = await here.client.get("/api/status", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    problem(answer, "unauthorized")


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_every_admin_path_needs_a_token(here: World, path: str) -> None:
    assert (await here.client.get(path)).status_code == 401


async def test_without_a_configured_token_only_the_admin_paths_are_closed(tmp_path: Path) -> None:
    async with world(tmp_path, RELAY_ADMIN_TOKEN="") as here:
        for path in ADMIN_PATHS:
            answer = await here.client.get(path, headers={"Authorization": "Bearer "})
            assert answer.status_code == 403, path
            problem(answer, "no-admin-token")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await here.client.get(path)).status_code == 200


async def test_the_index_leads_to_the_status(here: World) -> None:
    answer = await here.client.get("/", headers=TOKEN)
    assert answer.json()["version"] == __version__
    assert (await here.client.get(answer.json()["status"], headers=TOKEN)).status_code == 200


async def test_the_status_counts_what_is_kept(here: World) -> None:
    events: list[Json] = [order("m-1"), order("m-1"), track("Other", "m-2"), 5]
    await here.post(events)
    await here.settled()
    status = await here.status()
    assert {name: count for name, count in status["events"].items() if count} == {
        "planned": 1,
        "unmatched": 1,
        "quarantined": 1,
    }
    counts: Json = status["deliveries"]["tiktok"]
    assert counts == {"delivered": 1}


async def test_deliveries_by_message_id(here: World) -> None:
    await here.post(order("m-1"))
    await here.post(track("Other", "m-2"))
    await here.settled()
    answer = await here.client.get(
        "/api/deliveries", params={"message_id": ["m-1", "m-2", "m-3"]}, headers=TOKEN
    )
    assert answer.status_code == 200
    (delivery,) = answer.json()["deliveries"]
    assert delivery == {
        "messageId": "m-1",
        "destination": "tiktok",
        "mapping": "Place an Order",
        "event": "PlaceAnOrder",
        "state": "delivered",
        "attempts": 1,
        "reason": None,
    }


@pytest.mark.parametrize("ids", [[], [f"m-{n}" for n in range(101)]])
async def test_wrong_parameters_are_a_problem(here: World, ids: list[str]) -> None:
    answer = await here.client.get("/api/deliveries", params={"message_id": ids}, headers=TOKEN)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "m-100" not in answer.text, "a problem repeats no value"


async def test_a_store_that_is_gone_is_a_problem(here: World) -> None:
    await here.relay.store.close()
    async with _client(here.relay, raising=False) as client:
        answer = await client.get("/api/status", headers=TOKEN)
    assert answer.status_code >= 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_not_there(here: World) -> None:
    for method, path, status in (
        ("GET", "/nope", 404),
        ("GET", "/webhook", 404),
        ("GET", "/webhook/default", 405),
        ("DELETE", "/webhook/default", 405),
        ("POST", "/healthz", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ):
        answer = await here.client.request(method, path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"] == "application/problem+json"


@dataclass(slots=True)
class Samples:
    """What /metrics shows: name and labels to value."""

    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def of(self, name: str, **labels: str) -> float | None:
        """The sum of the counters with these labels among theirs, None where there is none."""
        found = [
            value
            for (counter, given), value in self.values.items()
            if counter == name and labels.items() <= dict(given).items()
        ]
        return sum(found) if found else None


async def _metrics(here: World) -> Samples:
    answer = await here.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = Samples()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return samples


async def _metrics_once_settled(here: World, delivered: int) -> Samples:
    """The worker counts what it settled a moment after that is on the disk."""
    name = "relay_deliveries_settled_total"
    labels = {"source": "default", "destination": "tiktok", "mapping": "Place an Order"}
    async with asyncio.timeout(10):
        seen = await _metrics(here)
        while seen.of(name, event="PlaceAnOrder", state="delivered", **labels) != delivered:
            await asyncio.sleep(0.01)
            seen = await _metrics(here)
    return seen


async def test_metrics_count_the_way_of_events(here: World) -> None:
    bad_currency = order("m-2", properties={"currency": "XXX", "products": [{"price": "x"}]})
    events: list[Json] = [order("m-1"), order("m-1"), bad_currency, 5]
    await here.post(events)
    await here.post(order("m-3"), secret="wrong", bearer=None)
    await here.post(order("m-3"), path="/webhook/nope")
    await here.settled()
    seen = await _metrics_once_settled(here, 2)
    assert seen.of("relay_events_kept_total", source="default", disposition="planned") == 2
    assert seen.of("relay_events_kept_total", source="default", disposition="quarantined") == 1
    assert seen.of("relay_events_duplicate_total", source="default") == 1
    refused = "relay_requests_refused_total"
    assert seen.of(refused, source="default", problem="unauthorized") == 1
    assert seen.of(refused, source="unknown", problem="unknown-source") == 1
    assert seen.of(refused, source="nope", problem="unknown-source") is None
    where = {"source": "default", "destination": "tiktok", "mapping": "Place an Order"}
    warnings = "relay_mapping_warnings_total"
    assert seen.of(warnings, field="currency", **where) == 1
    assert seen.of(warnings, field="contents.*.price", **where) == 1
    assert seen.of("relay_destination_requests_total", destination="tiktok", result="accepted")


async def test_metrics_show_no_value_of_an_event(here: World) -> None:
    await here.post(order("m-1", properties={"currency": "secret-value"}))
    text = (await here.client.get("/metrics")).text
    for value in ("secret-value", "example.com", "buyer-311", "m-1"):
        assert value not in text

"""The admin path for events of the past."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx
import orjson
import pytest
from fastapi import FastAPI

from conversion_relay.core.values import Json
from conversion_relay.errors import StoreBusy
from conversion_relay.service.http.admin.backfill import (
    PATH,
    Backfill,
    BackfillAnswer,
    backfill_router,
)
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import NewEvent, Receipt, Store
from support.events import order, track
from support.lines import Lines
from support.running import ADMIN, World, world
from support.toy import hello, target

TOKEN = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(
        tmp_path, RELAY_MAX_BATCH_EVENTS="5", RELAY_MAX_BODY_BYTES="20000"
    ) as running:
        yield running


async def post(
    here: World, body: Json | bytes, source: str = "default", **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await here.client.post(
        PATH, params={"source": source}, content=content, headers={**TOKEN, **headers}
    )


def counts(**counted: int) -> dict[str, int]:
    return {**dict.fromkeys(BackfillAnswer.model_fields, 0), **counted}


async def test_events_are_planned_and_delivered_as_those_of_the_webhook(here: World) -> None:
    await here.post(order("m-1"))
    answer = await post(here, [order("m-1"), order("m-2"), track("Other", "m-3"), 5])
    assert answer.status_code == 200
    assert answer.json() == counts(accepted=3, duplicates=1, planned=1, unmatched=1, quarantined=1)
    conversions = await here.settled()
    assert sorted(str(one.event_id) for one in conversions) == ["m-1", "m-2"]
    assert all(one.copies == 0 for one in conversions)
    assert ("info", "backfill.kept") in [(level, event) for level, event, _ in here.log.lines]


async def _beside(store: Store, arrived: Callable[[], None], content: bytes) -> httpx.Response:
    """The path alone, with a toy destination."""
    limits = IngestLimits(BodyLimits(10_000, 5.0), 10_000, 10)
    intake = Intake(
        sources=Sources.of([Source("default", Credentials(), (target(),))]),
        store=store,
        limits=limits,
        clock=lambda: datetime(2026, 11, 21, tzinfo=UTC),
        arrived=arrived,
        metrics=Metrics(),
        log=Lines(),
    )
    application = FastAPI()
    application.include_router(backfill_router(Backfill(intake)))
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        return await client.post(PATH, content=content)


async def test_the_workers_are_woken_when_there_is_something_to_deliver(here: World) -> None:
    woken: list[str] = []
    unmatched = orjson.dumps([track("Other", "m-1")])
    matched = orjson.dumps([hello().payload])
    for content, expected in ((unmatched, []), (matched, ["once"])):
        answer = await _beside(here.relay.store, lambda: woken.append("once"), content)
        assert answer.status_code == 200
        assert woken == expected


async def test_a_queue_that_is_full(here: World) -> None:
    class Full:
        """A store whose writer cannot keep up."""

        async def append(self, _: Sequence[NewEvent]) -> Receipt:
            """Refuses."""
            raise StoreBusy

        def has_room(self, *_: int) -> bool:
            """It looked as if there were room."""
            return True

    answer = await _beside(cast("Store", Full()), here.relay.wake, b"[1]")
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":busy")
    assert "retry-after" in answer.headers


async def test_the_webhook_does_not_send_again_what_was_backfilled(here: World) -> None:
    await post(here, [order("m-1")])
    answer = await here.post(order("m-1"))
    assert answer.json()["duplicates"] == 1
    (conversion,) = await here.settled()
    assert conversion.copies == 0


async def test_an_event_without_a_message_id_is_known_by_its_bytes(here: World) -> None:
    event = order("m-1")
    del event["messageId"]
    raw = orjson.dumps(event)
    first = await post(here, b"[" + raw + b"]")
    second = await post(here, b"[ " + raw + b" ]")
    assert (first.json()["accepted"], second.json()["duplicates"]) == (1, 1)
    assert len(await here.settled()) == 1


async def test_it_counts_where_the_webhook_counts(here: World) -> None:
    await post(here, [order("m-1"), order("m-1")])
    text = (await here.client.get("/metrics")).text
    assert 'relay_events_kept_total{disposition="planned",source="default"} 1.0' in text
    assert 'relay_events_duplicate_total{source="default"} 1.0' in text


@pytest.mark.parametrize(
    ("body", "headers", "status", "slug"),
    [
        (b"", {}, 400, "unreadable-body"),
        (b"{}", {}, 400, "unreadable-body"),
        (b"[1,", {}, 400, "unreadable-body"),
        (b"[1]x", {}, 400, "unreadable-body"),
        (b"[1,1,1,1,1,1]", {}, 413, "batch-too-long"),
        (b"[" + b" " * 20_000 + b"]", {}, 413, "body-too-large"),
        (b"[]", {"Content-Encoding": "gzip"}, 415, "unsupported-encoding"),
        (b"[]", {"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        (b"[]", {"Authorization": "Bearer bearer-token"}, 401, "unauthorized"),
    ],
)
async def test_what_is_refused(
    here: World, body: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    answer = await post(here, body, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:conversion-relay:problem:{slug}"
    assert not any((await here.status())["events"].values()), "nothing was kept"


async def test_a_source_that_is_not_configured(here: World) -> None:
    answer = await post(here, [order("m-1")], source="nope")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (
        404,
        "unknown-source",
    )
    assert (await post(here, b"[]", source="x" * 65)).status_code == 422


async def test_an_empty_list_keeps_nothing(here: World) -> None:
    answer = await post(here, b"[]")
    assert (answer.status_code, answer.json()) == (200, counts())


async def test_bytes_that_are_no_utf_8_cost_no_other_event(here: World) -> None:
    answer = await post(here, b'["\xff",' + orjson.dumps(order("m-1")) + b"]")
    assert answer.json() == counts(accepted=2, planned=1, quarantined=1)


async def test_a_store_that_cannot_write(here: World) -> None:
    await here.relay.store.close()
    answer = await post(here, [order("m-1")])
    assert answer.status_code == 503
    assert answer.json()["type"].endswith(":not-kept")
    assert "retry-after" in answer.headers
    assert "ingest.not_kept" in here.log.events


async def test_openapi_describes_it(here: World) -> None:
    described = (await here.client.get("/api/openapi.json", headers=TOKEN)).json()
    path = described["paths"][PATH]["post"]
    assert "requestBody" in path
    assert [one["name"] for one in path["parameters"]] == ["source"]
    shown = described["components"]["schemas"]["BackfillAnswer"]["properties"]
    assert list(shown) == list(counts())
    assert all(one["description"] for one in shown.values())

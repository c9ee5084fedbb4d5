"""The figures behind a page: what happened in steps, what waits, alerts, what is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import parse_fault
from conversion_relay.service.http.admin.flow import GROUPS
from conversion_relay.service.metrics.catalogue import COUNTERS
from conversion_relay.service.store.history import CANARY_SOURCE, AlertRecord, FlowCount
from support.events import order
from support.running import ADMIN, BEARER, World, world

TOKEN = {"Authorization": f"Bearer {ADMIN}"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


async def get(here: World, path: str, **asked: str) -> JsonObject:
    answer = await here.client.get(path, params=asked, headers=TOKEN)
    assert answer.status_code == 200, answer.text
    found: JsonObject = answer.json()
    return found


def listed(found: Json) -> list[JsonObject]:
    assert isinstance(found, list)
    return [one for one in found if isinstance(one, dict)]


def test_every_group_is_of_a_metric_with_these_labels() -> None:
    for group in GROUPS.values():
        assert set(group.by) <= set(COUNTERS[f"relay_{group.measure}"].labels)


async def test_the_flow_in_steps(here: World) -> None:
    settled = ("default", "tiktok", "Place an Order", "PlaceAnOrder", "delivered")
    await here.relay.store.history.add_flow(
        [
            FlowCount(NOON, "events_kept", ("default", "planned"), 3),
            FlowCount(NOON + 7 * MINUTE, "events_kept", ("default", "planned"), 4),
            FlowCount(NOON + 7 * MINUTE, "events_kept", ("default", "unmatched"), 1),
            FlowCount(NOON + 8 * MINUTE, "deliveries_settled", settled, 5),
            FlowCount(
                NOON + 9 * MINUTE, "deliveries_settled", (*settled[:3], "Other", "delivered"), 2
            ),
            FlowCount(NOON, "events_kept", (CANARY_SOURCE, "planned"), 9),
            FlowCount(NOON + 10 * MINUTE, "events_kept", ("default", "planned"), 50),
        ]
    )
    found = await get(
        here,
        "/api/flow",
        since=(NOON + timedelta(seconds=20)).isoformat(),
        until=(NOON + 10 * MINUTE).isoformat(),
        step="300",
    )
    assert found["stepSeconds"] == 300
    assert found["begins"] == ["2026-11-20T12:00:00Z", "2026-11-20T12:05:00Z"]
    assert found["received"] == [
        {"by": {"source": "default", "disposition": "planned"}, "counts": [3, 4], "total": 7},
        {"by": {"source": "default", "disposition": "unmatched"}, "counts": [0, 1], "total": 1},
    ]
    delivered = {"destination": "tiktok", "state": "delivered"}
    assert found["settled"] == [{"by": delivered, "counts": [0, 7], "total": 7}]
    assert found["duplicates"] == []


async def test_the_answers_of_tiktok(here: World) -> None:
    here.sandbox.faults.switch_on([parse_fault("reject_event_id=m-1")])
    await here.post(order("m-1"))
    await here.settled()
    requests = listed((await get(here, "/api/requests"))["requests"])
    assert {one["code"] for one in requests} == {40002}
    assert all(one["requestId"] and one["destination"] == "tiktok" for one in requests)
    assert [one["sentAt"] for one in requests] == sorted(
        (str(one["sentAt"]) for one in requests), reverse=True
    )
    (answers,) = listed((await get(here, "/api/flow"))["answers"])
    assert (answers["status"], answers["code"]) == (200, 40002)
    assert isinstance(answers["requests"], list)
    assert sum(int(str(one)) for one in answers["requests"]) == len(requests)
    assert len(listed((await get(here, "/api/requests", limit="1"))["requests"])) == 1


@pytest.mark.parametrize(
    ("path", "asked", "words"),
    [
        ("/api/flow", {"since": "2026-11-20T12:00:00"}, "since"),
        ("/api/flow", {"since": "2999-01-01T00:00:00Z"}, "earlier than until"),
        ("/api/flow", {"until": "0001-01-01T00:00:00+14:00"}, "between the years"),
        ("/api/flow", {"since": "2020-01-01T00:00:00Z"}, "there may be a year"),
        ("/api/flow", {"step": "90"}, "step"),
        ("/api/flow", {"step": "60", "since": "2026-01-01T00:00:00Z"}, "1500 steps"),
        ("/api/flow", {"untli": "2026-11-20T12:00:00Z"}, "untli"),
        ("/api/requests", {"limit": "501"}, "limit"),
        ("/api/requests", {"since": "2999-01-01T00:00:00Z"}, "earlier than until"),
        ("/api/alerts", {"limit": "0"}, "limit"),
    ],
)
async def test_what_is_asked_wrongly_is_a_problem(
    here: World, path: str, asked: dict[str, str], words: str
) -> None:
    given = {"until": "2026-11-20T12:00:00Z"} if "step" in asked else {}
    answer = await here.client.get(path, params={**given, **asked}, headers=TOKEN)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":invalid-request")
    assert words in answer.json()["detail"]


async def test_what_waits_with_its_age_and_value(here: World) -> None:
    here.sandbox.faults.switch_on([parse_fault("token_revoked")])
    await here.post([order("m-1"), order("m-2")])
    async with asyncio.timeout(20):
        while "'held'" not in str(await here.status()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    plain = await get(here, "/api/waiting")
    assert plain["value"] is None
    assert sum(int(str(one["count"])) for one in listed(plain["waiting"])) == 2
    for one in listed(plain["waiting"]):
        assert one["destination"] == "tiktok"
        assert 0 <= float(str(one["ageSeconds"])) < 60
    valued = await get(here, "/api/waiting", value="true")
    assert valued["value"] == {"tiktok": {"EUR": 119.8}}


async def test_alerts_that_are_open_and_past(here: World) -> None:
    history = here.relay.store.history
    alert = AlertRecord(
        *(0, "lane_held", "tiktok", "critical", NOON, NOON, None),
        *("The lane is held.", "Renew the token.", {"waiting": 3}),
    )
    await history.keep_alert(alert)
    await history.keep_alert(
        AlertRecord(0, "silence", "web", "warning", NOON, NOON, NOON + MINUTE, "Quiet.", "Look.")
    )
    found = await get(here, "/api/alerts")
    shown = {str(one["rule"]): one for one in listed(found["alerts"])}
    assert (shown["lane_held"]["isOpen"], shown["silence"]["isOpen"]) == (True, False)
    assert shown["lane_held"]["facts"] == {"waiting": 3}
    assert shown["silence"]["resolvedAt"] == "2026-11-20T12:01:00Z"
    assert found["open"] == sum(bool(one["isOpen"]) for one in shown.values())


async def test_what_is_configured_without_secrets(here: World) -> None:
    (source,) = listed((await get(here, "/api/sources"))["sources"])
    assert (source["name"], source["destinations"]) == ("default", ["tiktok"])
    assert (source["signingSecrets"], source["bearerTokens"], source["writeKeys"]) == (1, 1, 0)
    (destination,) = listed((await get(here, "/api/destinations"))["destinations"])
    assert (destination["name"], destination["pixelCode"]) == ("tiktok", "PIXEL")
    assert destination["presets"] == "tiktok-conversions"
    canary = destination["canary"]
    assert isinstance(canary, dict)
    assert (canary["reach"], canary["everySeconds"]) == ("to_the_store", 60.0)
    told = str(source) + str(destination)
    assert not any(secret in told for secret in ("shared-secret", BEARER, "access-token"))


async def test_the_status_names_the_configuration_in_effect(here: World) -> None:
    found = await get(here, "/api/status")
    versions = await here.relay.store.history.versions(1)
    shown = found["configuration"]
    if versions:
        assert isinstance(shown, dict)
        assert (shown["id"], shown["fingerprint"]) == (versions[0].id, versions[0].fingerprint)
    else:
        assert shown is None

"""The path of the report: what it takes, what it refuses and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from conversion_relay.service.http.admin.report import PATH, Reports, report_router
from conversion_relay.service.http.problems import answer_with_problems
from support.past import BACK, MORNING, Past, outage

NOW = MORNING + timedelta(minutes=10)
RETENTION = timedelta(days=7)
PERIOD = {"since": "2026-01-13T18:00", "until": "2026-01-14T10:00:00Z"}


@pytest.fixture
def past() -> Past:
    return outage()


@pytest.fixture
async def client(past: Past) -> AsyncIterator[httpx.AsyncClient]:
    application = FastAPI()
    answer_with_problems(application)
    reports = Reports(
        past,
        lambda _, code: f"meaning {code}",
        lambda one: one.event_name,
        lambda: NOW,
        lambda: RETENTION,
    )
    application.include_router(report_router(reports))
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as found:
        yield found


@pytest.mark.parametrize(
    ("form", "media_type", "begins"),
    [
        ("html", "text/html; charset=utf-8", "<!doctype html>"),
        ("markdown", "text/markdown; charset=utf-8", "# Conversion delivery report"),
        ("csv", "text/csv; charset=utf-8", "received_since,"),
        ("json", "application/json", "{"),
    ],
)
async def test_forms(client: httpx.AsyncClient, form: str, media_type: str, begins: str) -> None:
    answer = await client.get(PATH, params={**PERIOD, "format": form})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.text.startswith(begins)
    name = f'inline; filename="conversion-relay-report-2026-01-13.{form}"'
    assert answer.headers["Content-Disposition"] == name
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_report_up_to_now(client: httpx.AsyncClient) -> None:
    told = (await client.get(PATH, params={"since": "2026-01-13"})).json()
    assert (told["since"], told["until"]) == ("2026-01-13T00:00:00Z", "2026-01-14T10:10:00Z")
    assert told["answers"][-1]["meaning"] == "meaning 0"
    assert told["outages"][0]["end"] == f"{BACK + timedelta(seconds=8):%Y-%m-%dT%H:%M:%SZ}"


async def test_the_course_has_room_in_a_chart(client: httpx.AsyncClient, past: Past) -> None:
    for days, minutes in ((0.1, 1), (0.6, 5), (2, 15), (8, 60), (60, 1_440)):
        past.steps.clear()
        await client.get(PATH, params={"since": (NOW - timedelta(days=days)).isoformat()})
        assert past.steps[0] == timedelta(minutes=minutes), days
    await client.get(PATH, params={**PERIOD, "step": "2h"})
    assert past.steps[-2] == timedelta(hours=2)


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("UTC", "2026-01-13 18:00 to 2026-01-14 10:00 (UTC)"),
        ("Asia/Tokyo", "2026-01-14 03:00 to 2026-01-14 19:00 (Asia/Tokyo, UTC+09:00)"),
        ("-03:30", "2026-01-13 14:30 to 2026-01-14 06:30 (UTC-03:30)"),
        ("Z", "2026-01-13 18:00 to 2026-01-14 10:00 (UTC)"),
    ],
)
async def test_times_in_a_zone(client: httpx.AsyncClient, zone: str, begins: str) -> None:
    answer = await client.get(PATH, params={**PERIOD, "timezone": zone, "format": "markdown"})
    assert f"**{begins}**" in answer.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"since": "2026-01-14T10:00Z"}, "the period is empty"),
        ({"since": "2026-01-14T10:05Z"}, "the period is reversed"),
        ({"since": "2026-01-15"}, "since must be in the past; it is 2026-01-14T10:10:00Z now"),
        ({"until": "2026-01-14T10:11Z"}, "until must not be in the future; leave it out"),
        ({"since": "2024-01-13"}, "the period must be at most 400 days"),
        ({"since": "yesterday"}, "since: must be a time such as"),
        ({"since": "0001-01-01T00:00+14:00"}, "since"),
        (
            {"since": "0001-01-01", "until": "0001-01-02", "timezone": "-02:00", "format": "html"},
            "since must be 2000 or later",
        ),
        ({"on_time": "soon"}, "on_time: must be a time such as 5m"),
        ({"on_time": "0s"}, "on_time: must be a time such as 5m"),
        ({"step": "90s"}, "step: must be whole minutes"),
        ({"step": "1m", "since": "2026-01-01"}, "more than 5,000"),
        ({"timezone": "Europe/Nowhere"}, "timezone must be known here by its name"),
        ({"timezone": "../../etc/passwd"}, "timezone must be known here by its name"),
        ({"timezone": ""}, "timezone must be known here by its name"),
        ({"format": "pdf"}, "format"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_reported_on(
    client: httpx.AsyncClient, changes: dict[str, str], words: str
) -> None:
    answer = await client.get(PATH, params={**PERIOD, **changes})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:conversion-relay:problem:invalid-request"
    assert words in problem["detail"]
    assert all(value not in problem["detail"] for value in ("passwd", "yesterday", "Nowhere"))


async def test_since_has_to_be_said(client: httpx.AsyncClient) -> None:
    assert (await client.get(PATH)).status_code == 422

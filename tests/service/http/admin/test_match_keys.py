"""The report on match keys: which days, which destinations, which sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from conversion_relay.service.http.admin.match_keys import PATH, match_keys_router
from conversion_relay.service.store.port import KeyCounted, Store

TODAY = datetime(2026, 1, 10, 23, 59, tzinfo=UTC)
FIRST, SECOND = date(2026, 1, 9), date(2026, 1, 10)


@dataclass(slots=True)
class Counts:
    """The store, as far as it is asked here."""

    found: Sequence[KeyCounted] = ()
    asked: list[tuple[date, date]] = field(default_factory=list)

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """What it was given."""
        self.asked.append((since_day, until_day))
        return self.found


async def answered(counts: Counts, **asked: str) -> httpx.Response:
    application = FastAPI()
    known = {"tiktok": ("email", "phone"), "quiet": ("email",)}
    application.include_router(match_keys_router(cast("Store", counts), known, lambda: TODAY))
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        return await client.get(PATH, params=asked)


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ({}, ("2026-01-04", "2026-01-10")),
        ({"since": "2025-12-01"}, ("2025-12-01", "2026-01-10")),
        ({"until": "2025-12-31"}, ("2025-12-25", "2025-12-31")),
        ({"since": "2025-12-01", "until": "2025-12-01"}, ("2025-12-01", "2025-12-01")),
        ({"since": "2026-02-01"}, ("2026-02-01", "2026-02-01")),
        ({"until": "0001-01-02"}, ("0001-01-02", "0001-01-02")),
    ],
)
async def test_which_days_are_meant(asked: dict[str, str], days: tuple[str, str]) -> None:
    counts = Counts()
    answer = (await answered(counts, **asked)).raise_for_status().json()
    assert (answer["since"], answer["until"]) == days
    ((since, until),) = counts.asked
    assert until == date.fromisoformat(days[1])
    assert since <= until


async def test_the_days_are_added_up_by_destination() -> None:
    counts = Counts(
        [
            KeyCounted(FIRST, "tiktok", "any", 10, 6, 8),
            KeyCounted(FIRST, "tiktok", "email", 5, 2, 5),
            KeyCounted(SECOND, "tiktok", "any", 1, 1, 1),
            KeyCounted(SECOND, "tiktok", "email", 1, 1, 1),
            KeyCounted(SECOND, "tiktok", "cookie", 1, 1, 1),
            KeyCounted(SECOND, "removed", "any", 3, 0, 0),
        ]
    )
    answer = (await answered(counts)).raise_for_status().json()
    shown = {one.pop("destination"): one for one in answer["destinations"]}
    assert list(shown) == ["tiktok", "quiet", "removed"]
    assert shown["tiktok"] == {
        "conversions": 11,
        "keys": [
            {"key": "email", "before": 3, "after": 6},
            {"key": "phone", "before": 0, "after": 0},
            {"key": "cookie", "before": 1, "after": 1},
        ],
        "none": {"key": "none", "before": 4, "after": 2},
    }
    assert shown["quiet"]["conversions"] == 0
    assert shown["removed"]["none"] == {"key": "none", "before": 3, "after": 3}

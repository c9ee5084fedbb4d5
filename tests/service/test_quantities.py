"""Money, durations, moments and counts in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from conversion_relay.service.quantities import amounts, counted, duration, listed, moment, money


@pytest.mark.parametrize(
    ("micros", "currency", "shown"),
    [
        (1_240_500_000, "EUR", "1,240.50 EUR"),
        (0, "USD", "0.00 USD"),
        (5_000, "USD", "0.00 USD"),
        (-2_500_000, "USD", "-2.50 USD"),
        (1_240_000_000, "JPY", "1,240 JPY"),
        (1_234_567, "KWD", "1.235 KWD"),
        (10**18, "EUR", "1,000,000,000,000.00 EUR"),
    ],
)
def test_money_is_shown_as_its_currency_is(micros: int, currency: str, shown: str) -> None:
    assert money(micros, currency) == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, ""),
        ({"EUR": 1_000_000}, "1.00 EUR"),
        ({"USD": 2_000_000, "EUR": 1_000_000}, "1.00 EUR and 2.00 USD"),
    ],
)
def test_currencies_are_never_added_up(values: Mapping[str, int], shown: str) -> None:
    assert amounts(values) == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=45.9), "45 s"),
        (timedelta(minutes=12, seconds=59), "12 min"),
        (timedelta(hours=2, minutes=5), "2 h 05 min"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(time: timedelta, shown: str) -> None:
    assert duration(time) == shown


def test_a_moment_is_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert moment(datetime(2026, 11, 21, 13, 0, 5, tzinfo=berlin)) == "2026-11-21 12:00:05 UTC"
    assert moment(datetime(2026, 11, 21, tzinfo=UTC)) == "2026-11-21 00:00:00 UTC"


def test_counts_and_lists_read_as_sentences() -> None:
    assert counted(1, "event") == "1 event"
    assert counted(1240, "event") == "1,240 events"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert not listed([])

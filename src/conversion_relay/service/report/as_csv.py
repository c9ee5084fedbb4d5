"""A report as CSV (RFC 4180): one tidy table, a line for each kind of conversion."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Final

from conversion_relay.service.report.report import Fate, Report
from conversion_relay.service.store.history import OutcomeCount

COLUMNS: Final = (
    "received_since",
    "received_until",
    "source",
    "destination",
    "mapping",
    "event",
    "fate",
    "state",
    "late_up_to_seconds",
    "count",
    "currency",
    "value",
    "longest_seconds",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Spreadsheets run what begins so. Source: OWASP, "CSV Injection" (read 2026-11-22)."""


def csv_of(report: Report) -> str:
    """The whole table."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for one in report.outcomes:
        writer.writerow(_row(report, one))
    return text.getvalue()


def _row(report: Report, one: OutcomeCount) -> Mapping[str, str | int]:
    fate, late = report.fate(one), one.late
    return {
        "received_since": _time(report.asked.since),
        "received_until": _time(report.asked.until),
        "source": _inert(one.source),
        "destination": _inert(one.destination),
        "mapping": _inert(one.mapping),
        "event": _inert(one.event_name),
        "fate": fate.value,
        "state": one.state.value,
        "late_up_to_seconds": "" if late is None else int(late.total_seconds()),
        "count": one.count,
        "currency": _inert(one.currency or ""),
        "value": "" if one.currency is None else _decimal(one.value_micros),
        "longest_seconds": f"{one.longest_seconds:.0f}" if fate in _DELIVERED else "",
    }


_DELIVERED: Final = (Fate.ON_TIME, Fate.LATE)


def _inert(text: str) -> str:
    """The text, as a spreadsheet shows it without running it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _decimal(micros: int) -> str:
    return f"{(Decimal(micros) / 1_000_000).normalize():f}"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

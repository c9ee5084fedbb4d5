"""What a moment written as text means, in Unix seconds, from whatever form it was given in.

Knows no payload and reads no clock: what is absurd, its callers say. A time without a zone is UTC.
The readable forms are those of Segment's `new Date`, without its guesses: 05.01.2026, which it
takes for the first of May, years of two digits, days that no month has.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_MAX_CHARACTERS: Final = 80
_EPOCH: Final = re.compile(r"[0-9]{9,19}(?:\.[0-9]*)?")
_UNITS_PER_SECOND: Final = (1, 1_000, 1_000_000)
"""Seconds, milliseconds, microseconds: between 2000 and 2100 no two can be confused."""


def possible_seconds(text: str) -> tuple[int, ...]:
    """Whole seconds since 1970: none if it cannot be read, one for each unit a number may have."""
    trimmed = text.strip()
    if len(trimmed) > _MAX_CHARACTERS:
        return ()
    if _EPOCH.fullmatch(trimmed):
        number = int(trimmed.partition(".")[0])
        return tuple(number // unit for unit in _UNITS_PER_SECOND)
    return _moment(trimmed)


def _moment(text: str) -> tuple[int, ...]:
    """Unix seconds of a time in ISO 8601 or in words; nothing if it cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        seconds = _in_words(" ".join(text.lower().split()))
        return () if seconds is None else (seconds,)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (int(aware.timestamp()),)


_TIME: Final = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?(?: ?(?P<half>[ap]m))?"
    r"(?: ?(?P<zone>z|[a-z]{2,4}|(?:utc|gmt)?(?P<sign>[+-])(?P<ahead>[01]\d|2[0-3])"
    r":?(?P<minutes>[0-5]\d)?)"
    r"(?: utc)?)?"
)
_WEEKDAY: Final = r"(?:[a-z]{3,9},? )?"
_MONTH: Final = r"(?P<month>[a-z]{3})[a-z]{0,6}\.?"
_DAY: Final = r"(?P<day>\d{1,2})"
_YEAR: Final = r"(?P<year>\d{4})"
_FORMS: Final = tuple(
    re.compile(form + r"(?: \([^()]*\))?", re.ASCII)
    for form in (
        rf"{_YEAR}[-/.](?P<month>\d{{1,2}})[-/.]{_DAY}(?:[t ] ?{_TIME})?",
        rf"(?P<month>\d{{1,2}})[-/]{_DAY}[-/]{_YEAR}(?:,? {_TIME})?",
        rf"{_WEEKDAY}{_DAY}[ -]{_MONTH}[ -]{_YEAR}(?:,? {_TIME})?",
        rf"{_WEEKDAY}{_MONTH}[ -]{_DAY}(?:,? |-){_YEAR}(?:,? {_TIME})?",
        rf"{_YEAR}[ -]{_MONTH}[ -]{_DAY}(?:,? {_TIME})?",
        rf"{_WEEKDAY}{_MONTH} {_DAY} {_TIME} {_YEAR}",
        rf"{_MONTH} {_YEAR}",
        rf"{_YEAR}(?:-(?P<month>\d{{1,2}}))?",
    )
)

_MONTHS: Final[Mapping[str, int]] = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_ZONES: Final[Mapping[str, int]] = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
"""Hours ahead of UTC (RFC 5322, section 4.3)."""

_MINUTES_A_DAY: Final = 24 * 60
_LAST_SECOND: Final = 59
_NOON: Final = 12


def _in_words(text: str) -> int | None:
    for form in _FORMS:
        found = form.fullmatch(text)
        if found:
            return _seconds(defaultdict(lambda: None, found.groupdict()))
    return None


def _seconds(part: Mapping[str, str | None]) -> int | None:
    month = part["month"] or "1"
    minutes, second, ahead = _minutes(part), int(part["second"] or 0), _ahead(part)
    if minutes is None or second > _LAST_SECOND or ahead is None:
        return None
    try:
        midnight = datetime(
            int(part["year"] or 0),
            _MONTHS.get(month) or int(month),
            int(part["day"] or 1),
            tzinfo=UTC,
        )
    except ValueError:  # no such month or day
        return None
    return int(midnight.timestamp()) + (minutes - ahead) * 60 + second


def _minutes(part: Mapping[str, str | None]) -> int | None:
    """Minutes since midnight; 24:00 is the end of the day."""
    hour, minute = int(part["hour"] or 0), int(part["minute"] or 0)
    if part["half"]:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + (_NOON if part["half"] == "pm" else 0)
    minutes = hour * 60 + minute
    return minutes if minute <= _LAST_SECOND and minutes <= _MINUTES_A_DAY else None


def _ahead(part: Mapping[str, str | None]) -> int | None:
    """Minutes ahead of UTC; None for a zone that nobody knows."""
    if part["sign"]:
        minutes = int(part["ahead"] or 0) * 60 + int(part["minutes"] or 0)
        return -minutes if part["sign"] == "-" else minutes
    hours = _ZONES.get(part["zone"] or "utc")
    return None if hours is None else hours * 60

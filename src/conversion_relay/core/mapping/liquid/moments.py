"""Moments in time: read from what an event holds, written with the codes of strftime.

Knows the forms that liquidjs reads (through `new Date`) and writes; no clock and no time zone
files. Times without a zone are UTC, as on Segment's servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from conversion_relay.core.values import Value

_TIME = (
    r"(?:(?:T|,? +)(?P<hour>\d\d?):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?)?"
    r" *(?P<zone>Z|(?:UTC|GMT)?(?:[+-]\d\d:?\d\d)?)\Z"
)
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"
_FORMS = tuple(
    re.compile(date + _TIME, re.ASCII)
    for date in (
        r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?",
        r"(?P<year>\d{4})/(?P<month>\d\d?)/(?P<day>\d\d?)",
        r"(?P<month>\d\d?)/(?P<day>\d\d?)/(?P<year>\d{4})",
        rf"(?:[A-Za-z]{{3,9}},? +)?(?P<day>\d\d?) +{_NAME},? +(?P<year>\d{{4}})",
        rf"(?:[A-Za-z]{{3,9}},? +)?{_NAME} +(?P<day>\d\d?),? +(?P<year>\d{{4}})",
    )
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
WEEKDAYS = (*("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),)
_CODE = re.compile(r"%([-_0^#:]+)?(\d+)?([EO])?(.)", re.ASCII)
_DIGITS = re.compile(r"[0-9]+\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_WIDTH_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment and the zone in which it is written.

    Attributes:
        instant: the moment itself, in UTC.
        offset_minutes: how far the zone is ahead of UTC, or None when none was asked for.
    """

    instant: datetime
    offset_minutes: int | None = None

    @property
    def local(self) -> datetime:
        """What a clock in the zone shows (its own zone says UTC and means nothing)."""
        return self.instant + timedelta(minutes=self.offset_minutes or 0)


def read_moment(value: Value) -> datetime | None:
    """The moment that a number of seconds or a text stands for, or None."""
    try:
        match value:
            case bool():
                return _EPOCH + timedelta(milliseconds=value)
            case str() if not _DIGITS.match(value):
                return _written_moment(value.strip())
            case str() | int() | float():
                return _EPOCH + timedelta(milliseconds=int(float(value) * 1000))
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def _written_moment(text: str) -> datetime | None:
    match = next(filter(None, (form.match(text) for form in _FORMS)), None)
    if match is None:
        return None
    parts = match.groupdict()
    month = _month_named(parts["name"]) if parts.get("name") else int(parts["month"] or 1)
    fraction = (parts["fraction"] or "0")[:3].ljust(3, "0")
    local = datetime(
        int(parts["year"]),
        month,
        int(parts["day"] or 1),
        int(parts["hour"] or 0),
        int(parts["minute"] or 0),
        int(parts["second"] or 0),
        int(fraction) * 1000,
        tzinfo=UTC,
    )
    return local - _zone(parts["zone"])


def _month_named(name: str) -> int:
    matching = (i for i, month in enumerate(MONTHS, 1) if month[:3] == name[:3].capitalize())
    return next(matching, 0)


def _zone(text: str) -> timedelta:
    digits = text.lstrip("ZUTCGM").replace(":", "")
    if not digits:
        return timedelta()
    ahead = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
    return -ahead if digits[0] == "-" else ahead


@dataclass(frozen=True, slots=True)
class _Style:
    flags: str
    width: int


def write_moment(moment: Moment, form: str) -> str:
    """The moment in the form given; a code that is not known stays as it is."""

    def written(match: re.Match[str]) -> str:
        flags, width, _modifier, code = match.groups(default="")
        convert = _CODES.get(code)
        if convert is None or len(width) > _MAX_WIDTH_DIGITS:
            return match[0]
        style = _Style(flags, int(width or 0))
        return _padded(str(convert(moment, style)), code, style)

    return _CODE.sub(written, form)


def widest(form: str) -> int:
    """How many characters the widths in the form ask for."""
    widths = (match[2] for match in _CODE.finditer(form) if match[2])
    return sum(int(width) for width in widths if len(width) <= _MAX_WIDTH_DIGITS)


def _padded(text: str, code: str, style: _Style) -> str:
    if "^" in style.flags:
        text = text.upper()
    elif "#" in style.flags:
        text = text.upper() if re.search("[a-z]", text) else text.lower()
    padding = " " if code in "aAbBceklpP" else "0"
    if "_" in style.flags:
        padding = " "
    elif "0" in style.flags:
        padding = "0"
    width = 0 if "-" in style.flags else style.width or _WIDTHS.get(code, 0)
    return text.rjust(width, padding)


_WIDTHS: Final[Mapping[str, int]] = {
    **dict.fromkeys("CdeHIklmMSUWy", 2),
    **dict.fromkeys("jL", 3),
    "Y": 4,
}


def _offset(moment: Moment, style: _Style) -> str:
    minutes = moment.offset_minutes or 0
    colon = ":" if ":" in style.flags else ""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"


def _zone_name(moment: Moment, style: _Style) -> str:
    return "UTC" if moment.offset_minutes is None else _offset(moment, style)


def _fraction(moment: Moment, style: _Style) -> str:
    width = style.width or 9
    return f"{moment.local.microsecond // 1000:03}"[:width].ljust(width, "0")


def _ordinal(moment: Moment, _style: _Style) -> str:
    day = moment.local.day
    if day in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _week(moment: Moment, first_weekday: int) -> int:
    """The week of the year; the days before the first such weekday are in week 0."""
    day = moment.local.timetuple().tm_yday - 1
    since = (moment.local.isoweekday() - first_weekday) % 7
    return (day - since + 7) // 7


def _short_date(moment: Moment) -> str:
    return f"{moment.local.month}/{moment.local.day}/{moment.local.year}"


def _short_time(moment: Moment) -> str:
    half = "AM" if moment.local.hour < 12 else "PM"  # noqa: PLR2004 - noon
    return f"{_twelve(moment)}:{moment.local:%M:%S} {half}"


def _twelve(moment: Moment) -> int:
    return moment.local.hour % 12 or 12


_CODES: Final[Mapping[str, Callable[[Moment, _Style], str | int]]] = {
    "a": lambda m, _: WEEKDAYS[m.local.weekday()][:3],
    "A": lambda m, _: WEEKDAYS[m.local.weekday()],
    "b": lambda m, _: MONTHS[m.local.month - 1][:3],
    "h": lambda m, _: MONTHS[m.local.month - 1][:3],
    "B": lambda m, _: MONTHS[m.local.month - 1],
    "c": lambda m, _: f"{_short_date(m)}, {_short_time(m)}",
    "C": lambda m, _: m.local.year // 100,
    "d": lambda m, _: m.local.day,
    "e": lambda m, _: m.local.day,
    "H": lambda m, _: m.local.hour,
    "I": lambda m, _: _twelve(m),
    "j": lambda m, _: m.local.timetuple().tm_yday,
    "k": lambda m, _: m.local.hour,
    "l": lambda m, _: _twelve(m),
    "L": lambda m, _: m.local.microsecond // 1000,
    "m": lambda m, _: m.local.month,
    "M": lambda m, _: m.local.minute,
    "N": _fraction,
    "p": lambda m, _: "AM" if m.local.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "P": lambda m, _: "am" if m.local.hour < 12 else "pm",  # noqa: PLR2004 - noon
    "q": _ordinal,
    "s": lambda m, _: (m.instant - _EPOCH) // timedelta(seconds=1),
    "S": lambda m, _: m.local.second,
    "u": lambda m, _: m.local.isoweekday(),
    "U": lambda m, _: _week(m, 7),
    "w": lambda m, _: m.local.isoweekday() % 7,
    "W": lambda m, _: _week(m, 1),
    "x": lambda m, _: _short_date(m),
    "X": lambda m, _: _short_time(m),
    "y": lambda m, _: m.local.year % 100,
    "Y": lambda m, _: m.local.year,
    "z": _offset,
    "Z": _zone_name,
    "t": lambda _m, _: "\t",
    "n": lambda _m, _: "\n",
    "%": lambda _m, _: "%",
}

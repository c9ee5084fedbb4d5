"""Figures, times and results in the words of a report. Pure text, of no form of output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from conversion_relay.service.quantities import duration, money
from conversion_relay.service.report.report import Amount, Fate

NOTHING: Final = "\N{EN DASH}"
FATES: Final[Mapping[Fate, str]] = {
    Fate.ON_TIME: "on time",
    Fate.LATE: "late",
    Fate.WAITING: "still waiting",
    Fate.UNCERTAIN: "uncertain",
    Fate.DEAD: "dead",
    Fate.SUPPRESSED: "suppressed",
}
RESULTS: Final[Mapping[str, str]] = {
    "accepted": "accepted",
    "refused": "refused for good",
    "companion": "refused together with an event that was named",
    "suspect": "refused without saying which event is meant",
    "deferred": "not taken; tried again",
    "throttled": "too many requests; tried again more slowly",
    "unknown": "no clear answer; tried again",
    "credentialproblem": "credentials or settings refused; held",
}
_STATUSES: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    408: "request timed out",
    429: "too many requests",
    500: "internal error",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timed out",
}
DOOR: Final[Mapping[str, str]] = {
    "requests_refused": "request refused at the webhook or the Tracking API",
    "turned_away": "turned away before it was of any source",
    "events_duplicate": "copy of an event that was there already",
    "events_kept": "event kept that led to no delivery",
}


def counted(count: int) -> str:
    """With separators of thousands."""
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """Per cent with a digit, and never 100 % or 0 % of what is not whole or none."""
    if not whole:
        return NOTHING
    if 0 < part < whole:
        return f"{min(99.9, max(0.1, 100 * part / whole)):.1f} %"
    return f"{100 * part // whole} %"


def values(amount: Amount) -> Sequence[str]:
    """What it is worth, in each currency; never added up."""
    return [money(micros, currency) for currency, micros in amount.micros.items()]


def lasting(time: timedelta) -> str:
    """Such as "13 h 59 min", and "3 h" where it is just that."""
    return duration(time).removesuffix(" 00 min").removesuffix(" 0 h")


def moment(time: datetime, zone: tzinfo) -> str:
    """To the second, in that zone."""
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def minute(time: datetime, zone: tzinfo) -> str:
    """To the minute, in that zone."""
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M}"


def offset(time: datetime, zone: tzinfo) -> str:
    """Of the zone at that time, such as UTC+01:00."""
    text = f"{time.astimezone(zone):%z}"
    return "UTC" if text in {"+0000", "-0000"} else f"UTC{text[:3]}:{text[3:5]}"


def result(name: str) -> str:
    """What became of a request."""
    return RESULTS.get(name, name.replace("_", " "))


def status(number: int | None) -> str:
    """An HTTP status with its name."""
    if number is None:
        return "no answer"
    name = _STATUSES.get(number)
    return str(number) if name is None else f"{number} {name}"

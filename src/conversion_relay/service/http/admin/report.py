"""The path of the report: what became of the conversions of a period, in the form asked for.

Knows the past by its port, and each destination by what its codes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from conversion_relay.service.durations import read_duration
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.report.as_csv import csv_of
from conversion_relay.service.report.as_html import POLICY, html_of
from conversion_relay.service.report.as_json import json_of
from conversion_relay.service.report.as_markdown import markdown_of
from conversion_relay.service.report.gathering import Meaning, Told, gather
from conversion_relay.service.report.report import Asked, Report
from conversion_relay.service.store.history import History

PATH: Final = "/api/report"
ON_TIME: Final = "5m"
_MINUTE: Final = timedelta(minutes=1)
_STEPS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 360))
_DAY: Final = timedelta(days=1)
_FEW_STEPS: Final = 200
_MOST_STEPS: Final = 5_000
_LONGEST: Final = timedelta(days=400)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Format(Enum):
    """What a report can be written as."""

    HTML = "html"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


_FORMS: Final[Mapping[Format, tuple[str, Callable[[Report], str | bytes]]]] = {
    Format.HTML: ("text/html", html_of),
    Format.MARKDOWN: ("text/markdown", markdown_of),
    Format.CSV: ("text/csv", csv_of),
    Format.JSON: ("application/json", json_of),
}


def _in_utc(value: object) -> object:
    """A time that says nothing of a zone is meant in UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("time", "must be a time such as 2026-01-14T09:30Z") from None


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    found = read_duration(str(value))
    if found is None or found < timedelta(seconds=1):
        raise PydanticCustomError("duration", "must be a time such as 5m, 1h or 2d")
    return found


def _step(value: object) -> object:
    if value is None or value == "auto":
        return None
    found = _duration(value)
    if not isinstance(found, timedelta) or found % _MINUTE:
        raise PydanticCustomError("step", "must be whole minutes, such as 5m or 1h, or auto")
    return found


_Time = Annotated[datetime, BeforeValidator(_in_utc)]


class ReportAsked(BaseModel):
    """Which period is meant, and how it is told."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    since: Annotated[_Time, Field(description="received then or later; UTC without a zone")]
    until: Annotated[_Time | None, Field(description="received before; default: now")] = None
    format: Annotated[Format, Field(description="what it is written as")] = Format.JSON
    on_time: Annotated[
        timedelta,
        BeforeValidator(_duration),
        Field(description="what took no longer was on time, such as 5m"),
    ] = timedelta(minutes=5)
    step: Annotated[
        timedelta | None,
        BeforeValidator(_step),
        Field(description="of the course over time, whole minutes; default: auto"),
    ] = None
    timezone: Annotated[
        str, Field(description="in which times are shown: Europe/Berlin, or +02:00")
    ] = "UTC"


@dataclass(frozen=True, slots=True)
class Reports:
    """What the path needs.

    Attributes:
        history: what the store tells of the past.
        meaning: of the codes of a destination.
        told: the names of events as they may be told.
        clock: gives the present, aware.
        retention: so long delivered conversions are kept at present.
        trouble: why nothing could be written last, if it could not.
    """

    history: History
    meaning: Meaning
    told: Told
    clock: Callable[[], datetime]
    retention: Callable[[], timedelta]
    trouble: Callable[[], str | None] = lambda: None


def report_router(reports: Reports) -> APIRouter:
    """The path of the report."""
    router = APIRouter()

    @router.get(
        PATH,
        summary="What became of the conversions of a period: HTML, Markdown, CSV or JSON",
        response_class=Response,
    )
    async def report(given: Annotated[ReportAsked, Query()]) -> Response:
        now = reports.clock()
        try:
            asked = _asked(given, now)
        except ValueError as error:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return Problem(status, "invalid-request", str(error)).response()
        kept_since = now - reports.retention()
        found = await gather(reports.history, asked, reports.meaning, reports.told, kept_since)
        return _response(replace(found, trouble=reports.trouble()), given.format)

    return router


def _response(report: Report, form: Format) -> Response:
    media_type, written = _FORMS[form]
    day = f"{report.asked.since:%Y-%m-%d}"
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'inline; filename="conversion-relay-report-{day}.{form.value}"',
    }
    return Response(written(report), headers=headers, media_type=media_type)


def _asked(given: ReportAsked, now: datetime) -> Asked:
    """The period.

    Raises:
        ValueError: there cannot be a report on it; the message says why.
    """
    since, until = given.since, given.until or now.astimezone(UTC)
    for is_wrong, problem in _problems(since, until, now, given.step):
        if is_wrong:
            raise ValueError(problem)
    step = given.step or _fitting(until - since)
    zone, name = _zone(given.timezone)
    return Asked(since, until, now, given.on_time, step, zone, name)


def _problems(
    since: datetime, until: datetime, now: datetime, step: timedelta | None
) -> Iterator[tuple[bool, str]]:
    """Why there cannot be a report on that time, and whether that is so; the first counts."""
    length, present = until - since, f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield since < _EARLIEST, f"since must be {_EARLIEST:%Y} or later"
    yield since >= now, f"since must be in the past; it is {present} now"
    yield until > now, f"until must not be in the future; leave it out to mean now, {present}"
    yield not length, "the period is empty: until must be later than since, and is the same"
    yield length < timedelta(), "the period is reversed: until must be later than since"
    yield (
        length > _LONGEST,
        f"the period must be at most {_LONGEST.days} days; ask for a part",
    )
    too_many = step is not None and length / step > _MOST_STEPS
    yield too_many, f"step is too short: there would be more than {_MOST_STEPS:,} of them"


def _fitting(length: timedelta) -> timedelta:
    """Steps that a chart has room for."""
    return next((step for step in _STEPS if length / step <= _FEW_STEPS), _DAY)


def _zone(name: str) -> tuple[tzinfo, str]:
    """The zone of this name, or with this offset, and what it is called.

    Raises:
        ValueError: there is none.
    """
    try:
        return (UTC, "UTC") if name == "UTC" else (ZoneInfo(name), name)
    except (OSError, ValueError, KeyError):
        pass
    try:
        offset = datetime.strptime(name, "%z").utcoffset() or timedelta()
    except ValueError:
        raise ValueError(
            "timezone must be known here by its name, such as Europe/Berlin, or be an offset "
            "such as +02:00"
        ) from None
    zone = timezone(offset)
    return zone, str(zone)

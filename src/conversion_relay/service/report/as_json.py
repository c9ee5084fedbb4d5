"""A report as JSON, for programs. docs/report.md describes it; times are in UTC.

What is there stays as it is; more may be added. Another form would get another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import orjson

from conversion_relay.core.values import Json
from conversion_relay.service.report.outages import Outage
from conversion_relay.service.report.report import Amount, Answered, Fate, Figures, Report
from conversion_relay.service.report.story import summary, warnings
from conversion_relay.service.store.history import AlertRecord

FORM: Final = "conversion-relay/report/1"


def json_of(report: Report) -> bytes:
    """The whole document."""
    return orjson.dumps(document(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def document(report: Report) -> Mapping[str, Json]:
    """The same, before it is text."""
    return {**_head(report), **_sums(report), **_course(report)}


def _head(report: Report) -> Mapping[str, Json]:
    asked = report.asked
    return {
        "form": FORM,
        "version": report.version,
        "made_at": _time(asked.made_at),
        "since": _time(asked.since),
        "until": _time(asked.until),
        "on_time_seconds": _seconds(asked.on_time),
        "step_seconds": _seconds(asked.step),
        "warnings": [*warnings(report)],
        "summary": [*summary(report)],
    }


def _sums(report: Report) -> Mapping[str, Json]:
    return {
        "totals": _figures(report.figures),
        "by_event": _groups(report, "event_name"),
        "by_destination": _groups(report, "destination"),
        "by_source": _groups(report, "source"),
        "by_mapping": _groups(report, "mapping"),
        "late": [
            {"up_to_seconds": None if bound is None else _seconds(bound), **_amount(amount)}
            for bound, amount in report.lateness()
        ],
    }


def _course(report: Report) -> Mapping[str, Json]:
    """What happened, and when."""
    return {
        "course": [
            {"begin": _time(one.begin), "received": one.received, "delivered": one.delivered}
            for one in report.moments
        ],
        "outages": [_outage(one) for one in report.outages],
        "answers": [_answer(one) for one in report.answers],
        "alerts": [_alert(one) for one in report.alerts],
        "without_delivery": [
            {"measure": one.measure, "labels": [*one.labels], "count": one.count}
            for one in report.door
        ],
    }


def _groups(report: Report, key: str) -> list[Json]:
    found = report.by(lambda one: str(getattr(one, key)))
    return [{"name": name, **_figures(figures)} for name, figures in found]


def _figures(figures: Figures) -> dict[str, Json]:
    fates: dict[str, Json] = {fate.value: _amount(figures.of(fate)) for fate in Fate}
    longest = round(figures.longest_seconds)
    return {"received": _amount(figures.received), **fates, "longest_seconds": longest}


def _amount(amount: Amount) -> dict[str, Json]:
    return {
        "count": amount.count,
        "value": {currency: _decimal(micros) for currency, micros in amount.micros.items()},
    }


def _outage(one: Outage) -> Json:
    return {
        "destination": one.destination,
        "begin": _time(one.begin),
        "end": None if one.end is None else _time(one.end),
        "failed_requests": one.requests,
        "answers": [
            {"result": result, "status": status, "code": code}
            for result, status, code in one.kinds
        ],
    }


def _answer(one: Answered) -> Json:
    return {
        "destination": one.destination,
        "result": one.result,
        "status": one.status,
        "code": one.code,
        "meaning": one.meaning,
        "requests": one.requests,
        "events": one.events,
        "first": _time(one.first),
        "last": _time(one.last),
    }


def _alert(one: AlertRecord) -> Json:
    return {
        "rule": one.rule,
        "subject": one.subject,
        "severity": one.severity,
        "opened_at": _time(one.opened_at),
        "resolved_at": None if one.resolved_at is None else _time(one.resolved_at),
        "summary": one.summary,
    }


def _decimal(micros: int) -> str:
    """Exact, as no binary fraction is."""
    return f"{(Decimal(micros) / 1_000_000).normalize():f}"


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())

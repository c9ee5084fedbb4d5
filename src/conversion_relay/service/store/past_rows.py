"""What both engines keep of the past besides events, as rows and back. Pure; knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import orjson

from conversion_relay.service.sealing import binding
from conversion_relay.service.store.history import AlertRecord, FlowCount, RequestRecord
from conversion_relay.service.store.records import optional_moment
from conversion_relay.service.store.times import nearest_moment, to_microseconds

FLOW_KEPT: Final = timedelta(days=35)
ALERTS_KEPT: Final = timedelta(days=90)
"""Counted from their end."""
VERSIONS_KEPT: Final = 200
FLOW_WINDOW_MINUTES: Final = 360
"""Counts of so many minutes are summed at once: some ten thousand rows."""
_MINUTE: Final = timedelta(minutes=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CODES: Final = 2**63


class RequestRow(NamedTuple):
    """A request, its time in microseconds."""

    destination: str
    sent_at: int
    seconds: float
    events: int
    result: str
    status: int | None
    code: int | None
    request_id: str | None
    reason: str | None


class AlertRow(NamedTuple):
    """An alert, its times in microseconds, its facts as JSON."""

    id: int
    rule: str
    subject: str
    severity: str
    opened_at: int
    notified_at: int
    resolved_at: int | None
    summary: str
    advice: str
    facts: str


class FlowRow(NamedTuple):
    """A count, its minute counted from 1970, its labels as JSON."""

    minute: int
    measure: str
    labels: str
    times: int


class VersionRow(NamedTuple):
    """A configuration, its time in microseconds, its content sealed."""

    id: int
    since: int
    cause: str
    fingerprint: str
    rolled_back: str | None
    refused: str | None
    sealed: bytes


def request_row(record: RequestRecord) -> RequestRow:
    """The row of a request; a code that fits no column is left out."""
    code = record.code
    return RequestRow(
        record.destination,
        to_microseconds(record.sent_at),
        record.seconds,
        record.events,
        record.result,
        record.status,
        code if code is None or -_CODES <= code < _CODES else None,
        record.request_id,
        record.reason,
    )


def request_record(row: RequestRow) -> RequestRecord:
    """The request of a row."""
    return RequestRecord(row.destination, nearest_moment(row.sent_at), *row[2:])


def alert_row(alert: AlertRecord) -> AlertRow:
    """The row of an alert."""
    resolved_at = alert.resolved_at
    return AlertRow(
        id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        opened_at=to_microseconds(alert.opened_at),
        notified_at=to_microseconds(alert.notified_at),
        resolved_at=None if resolved_at is None else to_microseconds(resolved_at),
        summary=alert.summary,
        advice=alert.advice,
        facts=orjson.dumps(dict(alert.facts)).decode(),
    )


def alert_record(row: AlertRow) -> AlertRecord:
    """The alert of a row."""
    return AlertRecord(
        id=row.id,
        rule=row.rule,
        subject=row.subject,
        severity=row.severity,
        opened_at=nearest_moment(row.opened_at),
        notified_at=nearest_moment(row.notified_at),
        resolved_at=optional_moment(row.resolved_at),
        summary=row.summary,
        advice=row.advice,
        facts=orjson.loads(row.facts),
    )


def flow_row(count: FlowCount) -> FlowRow:
    """The row of a count."""
    minute = (count.minute - _EPOCH) // _MINUTE
    return FlowRow(minute, count.measure, _list(count.labels), count.count)


def flow_count(row: FlowRow) -> FlowCount:
    """The count of a row."""
    begin = _EPOCH + row.minute * _MINUTE
    return FlowCount(begin, row.measure, tuple(orjson.loads(row.labels)), row.times)


def first_minute(moment: datetime) -> int:
    """The first that begins at this moment or later."""
    return -((_EPOCH - moment) // _MINUTE)


def flow_step(step: timedelta) -> int:
    """The length of a step in whole minutes."""
    return max(1, step // _MINUTE)


def version_context(fingerprint: str) -> bytes:
    """What the content of a configuration is bound to."""
    return binding("configuration", fingerprint)


def _list(labels: Sequence[str]) -> str:
    return orjson.dumps(list(labels)).decode()

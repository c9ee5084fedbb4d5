"""Alerts as they are kept. Knows no thread."""

from __future__ import annotations

from typing import NamedTuple

import apsw
import orjson

from conversion_relay.service.store.history import AlertRecord
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.records import optional_moment
from conversion_relay.service.store.sqlite.times import nearest_moment, to_microseconds


class _AlertRow(NamedTuple):
    """One row of the query `alerts`, times in microseconds."""

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


def keep_alert(connection: apsw.Connection, alert: AlertRecord) -> int:
    """Keep a new alert or the present form of a kept one, inside a transaction; gives its id."""
    resolved_at = alert.resolved_at
    given = {
        "id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "opened_at": to_microseconds(alert.opened_at),
        "notified_at": to_microseconds(alert.notified_at),
        "resolved_at": None if resolved_at is None else to_microseconds(resolved_at),
        "summary": alert.summary,
        "advice": alert.advice,
        "facts": orjson.dumps(dict(alert.facts)).decode(),
    }
    if alert.id:
        connection.execute(QUERIES["change_alert"], given)
        return alert.id
    number: int = connection.execute(QUERIES["keep_alert"], given).get
    return number


def alerts(connection: apsw.Connection, limit: int) -> tuple[AlertRecord, ...]:
    """Every open alert, and of the others the newest; newest first."""
    found: str = connection.execute(QUERIES["alerts"], {"limit": limit}).get
    return tuple(_record(_AlertRow(*values)) for values in orjson.loads(found))


def _record(row: _AlertRow) -> AlertRecord:
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

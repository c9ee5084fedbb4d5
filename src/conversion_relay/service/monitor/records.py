"""Alerts as they are kept, and as they are taken up again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from conversion_relay.service.alerting.alert import Alert, Finding, Severity
from conversion_relay.service.store.history import AlertRecord

_SINCE: Final = "since"
_DESTINATION: Final = "destination"


def record_of(alert: Alert) -> AlertRecord:
    """The alert as it is kept; its beginning and its destination stand among its facts."""
    finding = alert.finding
    facts = {_SINCE: finding.since.isoformat() if finding.since else None, **finding.facts}
    return AlertRecord(
        id=alert.id,
        rule=finding.rule,
        subject=finding.subject,
        severity=finding.severity.value,
        opened_at=alert.opened_at,
        notified_at=alert.notified_at,
        resolved_at=alert.resolved_at,
        summary=finding.summary,
        advice=finding.advice,
        facts={**facts, _DESTINATION: finding.destination},
    )


def alert_of(record: AlertRecord) -> Alert:
    """The kept alert."""
    rest = {name: fact for name, fact in record.facts.items() if name not in _OURS}
    finding = Finding(
        rule=record.rule,
        subject=record.subject,
        severity=Severity(record.severity),
        summary=record.summary,
        advice=record.advice,
        destination=_text(record.facts, _DESTINATION),
        since=_moment(_text(record.facts, _SINCE)),
        facts=rest,
    )
    return Alert(finding, record.opened_at, record.notified_at, record.resolved_at, record.id)


_OURS: Final = frozenset({_SINCE, _DESTINATION})


def _text(facts: Mapping[str, str | int | float | None], name: str) -> str | None:
    found = facts.get(name)
    return found if isinstance(found, str) else None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

"""Alerts as they are kept."""

from __future__ import annotations

from collections.abc import Callable

from conversion_relay.service.store.history import AlertRecord
from conversion_relay.service.store.past_rows import AlertRow, alert_record, alert_row
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import given, kept


async def keep_alert(connection: Connection, alert: AlertRecord) -> int:
    """Keep a new alert or the present form of a kept one; gives its id."""
    row = _map(alert_row(alert), kept)
    if row.id:
        await connection.execute(QUERIES["change_alert"], row.id, *row[3:])
        return row.id
    number: int = await connection.fetchval(QUERIES["keep_alert"], *row[1:])
    return number


async def alerts(connection: Connection, limit: int) -> tuple[AlertRecord, ...]:
    """Every open alert, and of the others the newest; newest first."""
    rows = await connection.fetch(QUERIES["alerts"], limit)
    return tuple(alert_record(_map(AlertRow(*row), given)) for row in rows)


def _map(row: AlertRow, change: Callable[[str], str]) -> AlertRow:
    """The row with those texts changed that may hold what others wrote."""
    return row._replace(
        subject=change(row.subject), summary=change(row.summary), advice=change(row.advice)
    )

"""Alerts as they are kept. Knows no thread."""

from __future__ import annotations

import apsw
import orjson

from conversion_relay.service.store.history import AlertRecord
from conversion_relay.service.store.past_rows import AlertRow, alert_record, alert_row
from conversion_relay.service.store.sqlite.queries import QUERIES


def keep_alert(connection: apsw.Connection, alert: AlertRecord) -> int:
    """Keep a new alert or the present form of a kept one, inside a transaction; gives its id."""
    given = alert_row(alert)._asdict()
    if alert.id:
        connection.execute(QUERIES["change_alert"], given)
        return alert.id
    number: int = connection.execute(QUERIES["keep_alert"], given).get
    return number


def alerts(connection: apsw.Connection, limit: int) -> tuple[AlertRecord, ...]:
    """Every open alert, and of the others the newest; newest first."""
    found: str = connection.execute(QUERIES["alerts"], {"limit": limit}).get
    return tuple(alert_record(AlertRow(*values)) for values in orjson.loads(found))

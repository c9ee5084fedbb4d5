"""What happened long ago is forgotten, a bounded piece at a time, inside a transaction.

Attempts are not here: they go with their delivery.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from conversion_relay.service.store.past_rows import (
    ALERTS_KEPT,
    FLOW_KEPT,
    VERSIONS_KEPT,
    first_minute,
)
from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

_AT_ONCE: Final = 500


async def age(connection: Connection, retention: Retention, now: datetime) -> Swept:
    """One short step: old requests, counts, alerts, configurations, proposals and duties go."""
    bounds = {
        "expire_requests": to_microseconds(now - retention.dead_letters),
        "expire_flow": first_minute(now - FLOW_KEPT),
        "expire_alerts": to_microseconds(now - ALERTS_KEPT),
        "expire_versions": VERSIONS_KEPT,
    }
    gone: list[int] = []
    for query, bound in bounds.items():
        gone.append(_rows(await connection.execute(QUERIES[query], bound, _AT_ONCE)))
    gone.append(_rows(await connection.execute(QUERIES["expire_proposals"], _AT_ONCE)))
    await connection.execute(QUERIES["expire_duties"])
    return Swept(is_done=max(gone) < _AT_ONCE)


def _rows(status: str) -> int:
    """How many rows a statement changed, as the server says it: `DELETE 12`."""
    return int(status.rpartition(" ")[2])

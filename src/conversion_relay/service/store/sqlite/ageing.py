"""What happened long ago is forgotten, a bounded piece at a time. Knows no thread.

A short step inside a transaction. Attempts are not here: they go with their delivery.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import apsw

from conversion_relay.service.store.past_rows import (
    ALERTS_KEPT,
    FLOW_KEPT,
    VERSIONS_KEPT,
    first_minute,
)
from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

_AT_ONCE: Final = 500


def age(connection: apsw.Connection, retention: Retention, now: datetime) -> Swept:
    """One short step: old requests, counts, alerts and configurations go."""
    oldest = {
        "expire_requests": to_microseconds(now - retention.dead_letters),
        "expire_flow": first_minute(now - FLOW_KEPT),
        "expire_alerts": to_microseconds(now - ALERTS_KEPT),
    }
    gone: list[int] = []
    for query, bound in oldest.items():
        connection.execute(QUERIES[query], {"oldest": bound, "limit": _AT_ONCE})
        gone.append(connection.changes())
    connection.execute(QUERIES["expire_versions"], {"kept": VERSIONS_KEPT, "limit": _AT_ONCE})
    gone.append(connection.changes())
    return Swept(is_done=max(gone) < _AT_ONCE)

"""Mends what a clock that was set back would leave waiting. Knows no thread.

Inside a transaction; a bounded number at once, because a whole backlog may be concerned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import apsw

from conversion_relay.service.store.rounds import LONGEST_WAIT
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

_PULLED_AT_ONCE: Final = 500


def pull_back(connection: apsw.Connection, now: datetime, most: int = _PULLED_AT_ONCE) -> bool:
    """What waits for longer than any rule lets it goes now; gives whether that was all."""
    at, latest = to_microseconds(now), to_microseconds(now + LONGEST_WAIT)
    given = {"now": at, "latest": latest, "most": most}
    pulled: list[int] = []
    for query in ("pull_back", "pull_back_held"):
        connection.execute(QUERIES[query], given)
        pulled.append(connection.changes())
    connection.execute(QUERIES["pull_back_ledger"], {"now": at})
    return max(pulled) < most

"""How many files and sockets the process may have open: as many as it needs, if it may.

Knows the system's limit and what is needed beside connections; nothing of who connects.
"""

from __future__ import annotations

import resource
from typing import Final

from conversion_relay.service.logs import Log

BESIDE_CONNECTIONS: Final = 256
"""For the database, the log, connections to TikTok, and those just accepted."""

_FEWEST_CONNECTIONS: Final = 8


def room_for(max_connections: int, log: Log) -> int:
    """How many connections there may be at a time: so many, or fewer where the system is strict.

    Raises the process's own limit as far as that is needed and allowed.
    """
    needed = max_connections + BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_less(soft, needed):
        soft = needed if not _is_less(hard, needed) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not _is_less(soft, needed):
        return max_connections
    possible = max(_FEWEST_CONNECTIONS, soft - BESIDE_CONNECTIONS, soft // 4)
    log.warning(
        "service.few_descriptors",
        allowed=soft,
        needed=needed,
        max_connections=min(max_connections, possible),
    )
    return min(max_connections, possible)


def _is_less(limit: int, needed: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < needed

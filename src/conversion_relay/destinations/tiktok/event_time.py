"""When an event happened, in Unix seconds, as TikTok takes it.

Knows no payload and reads no clock; how a time may be written is `core.times`.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events", event_time
(read 2026-11-21).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from conversion_relay.core.times import possible_seconds

EARLIEST_SECONDS: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
FURTHEST_AHEAD_SECONDS: Final = 366 * 24 * 60 * 60


def unix_seconds(text: str, now: datetime) -> int | None:
    """The time as whole seconds since 1970, or None if it cannot be read or is absurd.

    Absurd is what lies before the year 2000 or more than a year after `now`.
    """
    latest = now.timestamp() + FURTHEST_AHEAD_SECONDS
    possible = possible_seconds(text)
    return next((moment for moment in possible if EARLIEST_SECONDS <= moment <= latest), None)

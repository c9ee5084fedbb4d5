"""How the canary of a destination fares, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CanaryStanding:
    """How the canary of one destination fares.

    Attributes:
        destination: its name.
        stops_before_tiktok: the destination has no test event code, so that the canary shows
            whether the webhook and the store work, and nothing of TikTok.
        last_success_at: when it came through last; None: never since the service started.
        last_failure_at: when it failed last; None: never since the service started.
        failing_since: when the first of the failures in a row was found; None: it comes through.
        failures: in a row.
        reason: why it failed last; None: it comes through.
    """

    destination: str
    stops_before_tiktok: bool
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    failing_since: datetime | None = None
    failures: int = 0
    reason: str | None = None

"""Which settings of the service a running one takes over; the others need a start. Pure."""

from __future__ import annotations

from typing import Final

from conversion_relay.service.settings import ServiceSettings

TAKEN_WHILE_RUNNING: Final = frozenset(
    {
        "admin_token",
        "read_tokens",
        "presets_folder",
        "retention",
        "unmatched_retention",
        "dead_letter_retention",
        "ledger_retention",
        "verify_changes",
        "watch_changes",
        "trial_events",
    }
)
"""The settings of the service itself that need no start; all others do."""


def start_only(started: ServiceSettings, wanted: ServiceSettings) -> tuple[str, ...]:
    """Those that differ, and that only a start takes over."""
    names = [name for name in ServiceSettings.model_fields if name not in TAKEN_WHILE_RUNNING]
    return tuple(
        f"service.{name}" for name in names if getattr(started, name) != getattr(wanted, name)
    )

"""Whether the service can do its work, in words for whoever probes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the service can do its work.

    Attributes:
        reason: why it cannot; None when it can.
        note: what is not as it should be nevertheless.
    """

    reason: str | None = None
    note: str | None = None


def _no_readings() -> str:
    return "{}"

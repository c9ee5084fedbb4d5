"""What TikTok counts: conversions after the 48-hour rule, each with its copies.

Knows nothing of HTTP, validation or faults; the time of arrival is an argument.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from conversion_relay.sandbox.answers import Json

if TYPE_CHECKING:
    from conversion_relay.sandbox.validation import Batch

COPY_WINDOW: Final = timedelta(hours=48)

_Key: TypeAlias = tuple[str, str, str]


@dataclass(slots=True)
class Conversion:
    """One conversion as TikTok would report it.

    Attributes:
        arrived_at: Unix seconds of the first arrival.
        sha256: of the element of `data` as compact JSON with sorted keys, as it first arrived.
        copies: further arrivals within 48 hours of the first.
        altered_copies: those among them whose content differed.
    """

    event: str
    event_id: str | None
    event_source_id: str
    event_time: int
    arrived_at: float
    sha256: str
    copies: int = 0
    altered_copies: int = 0

    def as_json(self) -> dict[str, Json]:
        """The entry of `GET /__sandbox/conversions`."""
        return {
            "event": self.event,
            "event_id": self.event_id,
            "event_source_id": self.event_source_id,
            "event_time": self.event_time,
            "copies": self.copies,
            "altered_copies": self.altered_copies,
            "sha256": self.sha256,
        }


class Ledger:
    """Conversions in the order of their first arrival."""

    def __init__(self) -> None:
        self._conversions: list[Conversion] = []
        self._latest: dict[_Key, Conversion] = {}

    def conversions(self) -> tuple[Conversion, ...]:
        """Everything counted so far."""
        return tuple(self._conversions)

    def record(self, batch: Batch, now: float) -> None:
        """Counts the batch's events, each as a new conversion or as a copy."""
        for event in batch.events:
            self._record(batch.event_source_id, event, now)

    def forget(self) -> None:
        """Starts anew."""
        self._conversions.clear()
        self._latest.clear()

    def _record(self, event_source_id: str, event: dict[str, Json], now: float) -> None:
        """Counts one event.

        Source: business-api.tiktok.com, "Event deduplication" (read 2026-11-21).
        """
        arrival = _arrival(event_source_id, event, now)
        if arrival.event_id is not None:
            key = (event_source_id, arrival.event, arrival.event_id)
            first = self._latest.get(key)
            if first and now - first.arrived_at < COPY_WINDOW.total_seconds():
                first.copies += 1
                first.altered_copies += arrival.sha256 != first.sha256
                return
            self._latest[key] = arrival
        self._conversions.append(arrival)


def payload_sha256(event: Json) -> str:
    """Hex SHA-256 of the value as compact JSON with sorted keys."""
    return hashlib.sha256(orjson.dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _arrival(event_source_id: str, event: dict[str, Json], now: float) -> Conversion:
    name, event_id, event_time = event["event"], event.get("event_id"), event["event_time"]
    return Conversion(
        event=str(name),
        event_id=None if event_id is None else str(event_id),
        event_source_id=event_source_id,
        event_time=event_time if isinstance(event_time, int) else 0,
        arrived_at=now,
        sha256=payload_sha256(event),
    )

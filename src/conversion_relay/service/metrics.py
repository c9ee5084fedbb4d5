"""Counters and gauges for Prometheus, in a registry of their own.

Labels hold configured names and TikTok's event names, never a value from an event's properties.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from conversion_relay.core.plan import Note

_POSITION = re.compile(r"\.\d+(?=\.|$)")


_NOTE_LABELS: Final = ("destination", "mapping", "field")
_METRICS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "relay_events_kept": ("Events kept, by what became of them", ("source", "disposition")),
    "relay_events_duplicate": ("Events whose messageId was known already", ("source",)),
    "relay_requests_refused": ("Requests that were not taken", ("source", "problem")),
    "relay_turned_away": (
        "Connections and requests that were turned away before they were of any source",
        ("problem",),
    ),
    "relay_mapping_rejections": ("Events a mapping could not use", _NOTE_LABELS),
    "relay_mapping_warnings": ("Optional fields left out or replaced", _NOTE_LABELS),
    "relay_mapping_suppressions": (
        "Events a mapping was not asked about, because they forbid it themselves",
        _NOTE_LABELS,
    ),
    "relay_match_keys_unread": (
        "Requests whose events were planned without memory, because it could not be read",
        ("source",),
    ),
    "relay_users_forgotten": (
        "Users whose data was erased, by who asked for it",
        ("by",),
    ),
    "relay_deliveries_settled": (
        "Ends of delivery attempts, by the state that followed",
        ("destination", "state"),
    ),
    "relay_destination_requests": (
        "Requests to the destination, by what came back",
        ("destination", "result"),
    ),
    "relay_lane_condition": (
        "1 for the condition a destination's lane is in, 0 for the others",
        ("destination", "condition"),
    ),
}
"""By name: what it counts or shows, and its labels."""


class Metrics:
    """Every counter and gauge of the service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.received = self._counter("relay_events_kept")
        self.duplicates = self._counter("relay_events_duplicate")
        self.refused = self._counter("relay_requests_refused")
        self.turned_away = self._counter("relay_turned_away")
        self._rejected = self._counter("relay_mapping_rejections")
        self._warnings = self._counter("relay_mapping_warnings")
        self._suppressed = self._counter("relay_mapping_suppressions")
        self.unremembered = self._counter("relay_match_keys_unread")
        self.forgotten = self._counter("relay_users_forgotten")
        self.settled = self._counter("relay_deliveries_settled")
        self.requests = self._counter("relay_destination_requests")
        self.lanes = self._gauge("relay_lane_condition")

    def _counter(self, name: str) -> Counter:
        return Counter(name, *_METRICS[name], registry=self._registry)

    def _gauge(self, name: str) -> Gauge:
        return Gauge(name, *_METRICS[name], registry=self._registry)

    def count_notes(
        self,
        warnings: Sequence[Note],
        rejections: Sequence[Note],
        suppressions: Sequence[Note] = (),
    ) -> None:
        """What the mappings could not use of an event, and which were not asked."""
        counted = (
            (self._warnings, warnings),
            (self._rejected, rejections),
            (self._suppressed, suppressions),
        )
        for counter, notes in counted:
            for note in notes:
                counter.labels(note.destination, note.mapping, _field_label(note.field)).inc()

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)


def _field_label(field: str) -> str:
    """The field without positions in lists, of which there would be too many."""
    return _POSITION.sub(".*", field)

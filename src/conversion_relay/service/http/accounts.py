"""Counts what was kept of a request, for the metrics and for the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Disposition, NewEvent, Receipt

_WAYS: Final = ("webhook", "tracking")
_DISPOSITIONS: Final = tuple(disposition.value for disposition in Disposition)


class Accounts:
    """Counters of every source, looked up once: doing so costs more than counting.

    Args:
        sources: names of those that are configured.
        metrics: where the counters are.
    """

    def __init__(self, sources: Iterable[str], metrics: Metrics) -> None:
        self._metrics = metrics
        self._kept = {
            source: {name: metrics.received.labels(source, name) for name in _DISPOSITIONS}
            for source in sources
        }
        self._duplicates = {source: metrics.duplicates.labels(source) for source in self._kept}
        self._seconds = {way: metrics.request_seconds.labels(way) for way in _WAYS}

    def know(self, sources: Iterable[str]) -> None:
        """Counts for these too; those of before stay, because requests of theirs may be here."""
        later = Accounts(sources, self._metrics)
        self._kept = {**later._kept, **self._kept}
        self._duplicates = {**later._duplicates, **self._duplicates}

    def answered(self, way: str, seconds: float) -> None:
        """Counts a request by how long its answer took."""
        self._seconds[way].observe(seconds)

    def refuse(self, source: str, problem: str) -> str:
        """Counts a refused request; gives the source's name as the log may hold it."""
        known = source if source in self._kept else "unknown"
        self._metrics.refused.labels(known, problem).inc()
        return known

    def keep(
        self, source: str, events: Sequence[NewEvent], receipt: Receipt
    ) -> dict[str, bool | int]:
        """Counts what was kept, and says it to the client."""
        counts = dict.fromkeys(_DISPOSITIONS, 0)
        for event, fresh in zip(events, receipt.fresh, strict=True):
            if fresh:
                counts[event.disposition.value] += 1
                self._metrics.count_kept(event)
        for name, count in counts.items():
            if count:
                self._kept[source][name].inc(count)
        accepted = receipt.accepted
        duplicates = len(events) - accepted
        if duplicates:
            self._duplicates[source].inc(duplicates)
        return {"success": True, "accepted": accepted, "duplicates": duplicates, **counts}

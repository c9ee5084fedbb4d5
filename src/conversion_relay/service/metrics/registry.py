"""The metrics of one service: what counts, what is shown, and how both are read.

Counted by the event loop alone, except for the seconds of a commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from conversion_relay import __version__
from conversion_relay.core.delivery import State
from conversion_relay.core.plan import Note, PlannedDelivery, Target
from conversion_relay.service.metrics.catalogue import COUNTERS, GAUGES, HISTOGRAMS
from conversion_relay.service.metrics.figures import Figures
from conversion_relay.service.metrics.labels import Counted, Few, Timed
from conversion_relay.service.naming import spelt_names
from conversion_relay.service.store.history import OutcomeCount
from conversion_relay.service.store.port import ClaimedDelivery, NewEvent, RequestRecord

Reading: TypeAlias = tuple[str, tuple[str, ...]]
"""A counter: its name without prefix, such as "events_kept", and the values of its labels."""
_PREFIX: Final = "relay_"
_POSITION = re.compile(r"\.\d+(?=\.|$)")
_WAITING: Final = tuple(state.value for state in (State.PENDING, State.CLAIMED, State.HELD))
_SIZES: Final = {
    "database": "relay_store_database_bytes",
    "log": "relay_store_log_bytes",
    "disk_free": "relay_disk_free_bytes",
    "disk_size": "relay_disk_size_bytes",
}


class Metrics:
    """Every counter, gauge and histogram of the service."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series for nothing
        self._registry = CollectorRegistry()
        self._counters = {name: self._counter(name) for name in COUNTERS}
        self._gauges = {name: self._gauge(name) for name in GAUGES}
        self.request_seconds = self._timed("relay_request_seconds")
        self._delivery_seconds = self._timed("relay_delivery_seconds")
        self._answer_seconds = self._timed("relay_destination_request_seconds")
        self.commit_seconds = self._timed("relay_store_commit_seconds").labels()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._names, self._codes = Few(), Few()
        self._sizes_shown: set[Gauge] = set()
        self._name_counters()
        self.lanes = self._gauges["relay_lane_condition"]
        self._gauges["relay_build_info"].labels(__version__).set(1)

    def _name_counters(self) -> None:
        counters = self._counters
        self.received = counters["relay_events_kept"]
        self.duplicates = counters["relay_events_duplicate"]
        self.refused = counters["relay_requests_refused"]
        self.turned_away = counters["relay_turned_away"]
        self.unremembered = counters["relay_match_keys_unread"]
        self.forgotten = counters["relay_users_forgotten"]
        self.reloads = counters["relay_configuration_reloads"]
        self.notifications = counters["relay_alert_notifications"]

    def _counter(self, name: str) -> Counted:
        counted = Counted(name, COUNTERS[name])
        self._registry.register(counted)
        return counted

    def _gauge(self, name: str) -> Gauge:
        shape = GAUGES[name]
        registry = None if name in _SIZES.values() else self._registry
        return Gauge(name, shape.help, shape.labels, registry=registry)

    def _timed(self, name: str) -> Timed:
        timed = Timed(name, HISTOGRAMS[name])
        self._registry.register(timed)
        return timed

    def expect(self, targets: Iterable[Target]) -> None:
        """Names of events may be labels only if these spell them out."""
        for subject, names in spelt_names(targets):
            self._names.allow(subject, names)

    def event_name(self, delivery: PlannedDelivery | ClaimedDelivery | OutcomeCount) -> str:
        """The name of its event as labels and lines may hold it."""
        return self._names.known(delivery.event_name, delivery.destination, delivery.mapping)

    def count_kept(self, event: NewEvent) -> None:
        """What mappings made of a new event, could not use of it, and were not asked about."""
        noted = (
            ("relay_mapping_warnings", event.warnings),
            ("relay_mapping_rejections", event.rejections),
            ("relay_mapping_suppressions", event.suppressions),
        )
        for name, notes in noted:
            if notes:
                self._count_notes(self._counters[name], event.source, notes)
        planned = self._counters["relay_deliveries_planned"]
        for one in event.deliveries:
            known = self.event_name(one)
            planned.labels(event.source, one.destination, one.mapping, known).inc()

    def _count_notes(self, counter: Counted, source: str, notes: Sequence[Note]) -> None:
        for note in notes:
            field = _POSITION.sub(".*", note.field)  # there would be too many positions in lists
            counter.labels(source, note.destination, note.mapping, field).inc()

    def count_settled(self, delivery: ClaimedDelivery, state: str) -> None:
        """The end of an attempt, by the state that followed."""
        one, known = delivery, self.event_name(delivery)
        settled = self._counters["relay_deliveries_settled"]
        settled.labels(one.source, one.destination, one.mapping, known, state).inc()

    def count_delivered(self, delivery: ClaimedDelivery, now: datetime) -> None:
        """How long it took from the receipt of its event."""
        seconds = (now - delivery.accepted_at).total_seconds()
        self._delivery_seconds.labels(delivery.destination).observe(max(0.0, seconds))

    def count_request(self, request: RequestRecord) -> None:
        """A request to a destination, and what it said."""
        name = request.destination
        self._counters["relay_destination_requests"].labels(name, request.result).inc()
        code = self._codes.new(_code(request), name)
        self._counters["relay_destination_codes"].labels(name, code).inc()
        self._answer_seconds.labels(name).observe(max(0.0, request.seconds))

    def count_canary(self, destination: str, outcome: str, arrived_at: datetime | None) -> None:
        """How a canary ended, and when it came through, if it did."""
        self._counters["relay_canary_runs"].labels(destination, outcome).inc()
        if arrived_at is not None:
            last = self._gauges["relay_canary_last_success_timestamp_seconds"]
            last.labels(destination).set(arrived_at.timestamp())

    def show_configuration(self, version: int | None, since: datetime) -> None:
        """Which configuration is in effect (0: one that could not be kept), and since when."""
        self._gauges["relay_configuration_version"].set(version or 0)
        last = self._gauges["relay_configuration_last_success_timestamp_seconds"]
        last.set(since.timestamp())

    def show_spool(self, events: int, size_bytes: int) -> None:
        """What waits on this node's disk for the database."""
        self._gauges["relay_spool_waiting_events"].set(events)
        self._gauges["relay_spool_bytes"].set(size_bytes)

    def show(self, figures: Figures) -> None:
        """The service as it is now; what is no longer there goes."""
        gauges = self._gauges
        nothing = {(name, state): 0 for name in figures.turns for state in _WAITING}
        self._replace("relay_deliveries_waiting", {**nothing, **figures.waiting}.items())
        oldest = {**dict.fromkeys(figures.turns, 0.0), **figures.oldest_seconds}
        self._replace(
            "relay_oldest_waiting_seconds", (((name,), age) for name, age in oldest.items())
        )
        self._replace(
            "relay_worker_turn_timestamp_seconds",
            (((name,), turn.timestamp()) for name, turn in figures.turns.items()),
        )
        self._replace("relay_alerts_open", ((alert, 1) for alert in figures.alerts))
        self._replace("relay_nodes", (((role,), count) for role, count in figures.nodes.items()))
        self._replace("relay_duty", (((duty,), ours) for duty, ours in figures.duties.items()))
        for name, figure in _plain(figures):
            gauges[name].set(figure)
        for name, size in figures.sizes.items():
            self._show_size(gauges[_SIZES[name]], size)

    def _show_size(self, gauge: Gauge, size: int) -> None:
        """One that was never told is not shown: no database is empty, and no disk."""
        if gauge not in self._sizes_shown:
            self._sizes_shown.add(gauge)
            self._registry.register(gauge)
        gauge.set(size)

    def _replace(self, name: str, values: Iterable[tuple[tuple[str, ...], float]]) -> None:
        gauge = self._gauges[name]
        gauge.clear()
        for labels, value in values:
            gauge.labels(*labels).set(value)

    def readings(self) -> dict[Reading, float]:
        """Every counter as it stands: by its name without prefix, and its labels in order."""
        return {
            (name.removeprefix(_PREFIX), labels): value
            for name, counter in self._counters.items()
            for labels, value in counter.readings()
        }

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        return self.taken()()

    def taken(self) -> Callable[[], bytes]:
        """All of them as they stand; called, on any thread, it writes them as `exposition` does.

        Writing takes longer than an event loop may be kept.
        """
        return partial(generate_latest, _Taken(tuple(self._registry.collect())))


def _plain(figures: Figures) -> Iterable[tuple[str, float]]:
    """Gauges without labels."""
    return (
        ("relay_store_waiting_events", figures.waiting_events),
        ("relay_store_waiting_bytes", figures.waiting_bytes),
        ("relay_database_oldest_transaction_seconds", figures.oldest_transaction_seconds),
        ("relay_spool_oldest_seconds", figures.spool_oldest_seconds),
    )


class _Taken(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    @override
    def collect(self) -> Sequence[Metric]:
        return self._families


def _code(request: RequestRecord) -> str:
    """The partner's code; where it gave none, the status it answered with."""
    if request.code is not None:
        return str(request.code)
    return "none" if request.status is None else f"http_{request.status}"

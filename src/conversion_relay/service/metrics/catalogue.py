"""Every metric there is, as a table: its name, what it says, its labels, its buckets.

Names follow Prometheus's conventions: base units, and `_total` is added to those of counters.
Labels hold configured names, words of this service and names of events that a partner or a mapping
defines; never a value of an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
Labels: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a counter or gauge says, and by which labels."""

    help: str
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """What a histogram says, by which labels, and the upper bounds of its buckets, seconds."""

    help: str
    labels: Labels
    buckets: tuple[float, ...]


_DELIVERY: Final[Labels] = ("source", "destination", "mapping", "event")
_NOTE: Final[Labels] = ("source", "destination", "mapping", "field")

COUNTERS: Final[Mapping[str, Shape]] = {
    "relay_events_kept": Shape("Events kept, by what became of them", ("source", "disposition")),
    "relay_events_duplicate": Shape("Events whose messageId was known already", ("source",)),
    "relay_requests_refused": Shape("Requests that were not taken", ("source", "problem")),
    "relay_turned_away": Shape(
        "Connections and requests that were turned away before they were of any source",
        ("problem",),
    ),
    "relay_mapping_rejections": Shape("Events a mapping could not use", _NOTE),
    "relay_mapping_warnings": Shape("Optional fields left out or replaced", _NOTE),
    "relay_mapping_suppressions": Shape(
        "Events a mapping was not asked about, because they forbid it themselves", _NOTE
    ),
    "relay_match_keys_unread": Shape(
        "Requests whose events were planned without memory, because it could not be read",
        ("source",),
    ),
    "relay_users_forgotten": Shape("Users whose data was erased, by who asked for it", ("by",)),
    "relay_deliveries_planned": Shape("Deliveries that mappings made of events", _DELIVERY),
    "relay_deliveries_settled": Shape(
        "Ends of delivery attempts, by the state that followed", (*_DELIVERY, "state")
    ),
    "relay_destination_requests": Shape(
        "Requests to the destination, by what came back", ("destination", "result")
    ),
    "relay_destination_codes": Shape(
        "Requests to the destination, by the code of its answer", ("destination", "code")
    ),
    "relay_canary_runs": Shape("Canaries sent, by how that ended", ("destination", "outcome")),
    "relay_configuration_reloads": Shape(
        "Changed configurations, by what became of them", ("result",)
    ),
    "relay_alert_notifications": Shape(
        "Messages about alerts, by channel and how sending ended", ("channel", "result")
    ),
}

GAUGES: Final[Mapping[str, Shape]] = {
    "relay_lane_condition": Shape(
        "1 for the condition a destination's lane is in, 0 for the others",
        ("destination", "condition"),
    ),
    "relay_deliveries_waiting": Shape(
        "Deliveries that have not arrived yet", ("destination", "state")
    ),
    "relay_oldest_waiting_seconds": Shape(
        "How long ago the oldest delivery that has not arrived was taken on", ("destination",)
    ),
    "relay_worker_turn_timestamp_seconds": Shape(
        "When the destination's worker last looked for something to do", ("destination",)
    ),
    "relay_store_waiting_events": Shape("Events that wait for the disk"),
    "relay_store_waiting_bytes": Shape("Size of the events that wait for the disk"),
    "relay_spool_waiting_events": Shape("Events in the spool, which wait for the database"),
    "relay_spool_bytes": Shape("Size of what is in the spool"),
    "relay_spool_oldest_seconds": Shape("How long the oldest event in the spool has waited"),
    "relay_store_database_bytes": Shape("Size of the database"),
    "relay_store_log_bytes": Shape("Size of the database's write-ahead log"),
    "relay_disk_free_bytes": Shape("Room on the disk of the database"),
    "relay_disk_size_bytes": Shape("Size of the disk of the database"),
    "relay_database_oldest_transaction_seconds": Shape(
        "How long the oldest transaction has kept old rows in the database"
    ),
    "relay_nodes": Shape("Nodes over the database that gave a sign of life lately", ("role",)),
    "relay_duty": Shape("1 if this node does that for all nodes, 0 if it does not", ("duty",)),
    "relay_alerts_open": Shape("1 for each open alert", ("rule", "subject", "severity")),
    "relay_canary_last_success_timestamp_seconds": Shape(
        "When a canary last came through", ("destination",)
    ),
    "relay_configuration_version": Shape("Number of the configuration in effect"),
    "relay_configuration_last_success_timestamp_seconds": Shape(
        "When a configuration last took effect"
    ),
    "relay_build_info": Shape("1 for the version that runs", ("version",)),
}

HISTOGRAMS: Final[Mapping[str, Spread]] = {
    "relay_request_seconds": Spread(
        "From the receipt of a request with events to the end of its answer",
        ("way",),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    ),
    "relay_delivery_seconds": Spread(
        "From the receipt of an event to its delivery",
        ("destination",),
        (
            *(0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
            *(_HOUR, 4 * _HOUR, 8 * _HOUR, 14 * _HOUR, _DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY),
        ),
    ),
    "relay_destination_request_seconds": Spread(
        "From the sending of a request to the destination to its answer, or to giving it up",
        ("destination",),
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0),
    ),
    "relay_store_commit_seconds": Spread(
        "Length of a transaction that writes, its way to the disk included",
        (),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
}

"""What is counted and shown: few labels, cheap readings, and nothing of an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.core.preset import PresetDefinition
from conversion_relay.service.metrics import Figures, Metrics
from conversion_relay.service.metrics.catalogue import COUNTERS
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    RequestRecord,
)
from support.toy import definition, target

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLAIMED = ClaimedDelivery(
    id=1,
    fence=1,
    destination="toy",
    mapping="Greet",
    message_id="m-1",
    envelope="one",
    event_name="Greeting",
    event_id="m-1",
    body=b"{}",
    attempts=1,
    accepted_at=NOW,
    first_unknown_at=None,
    source="web",
)
REQUEST = RequestRecord("toy", NOW, 0.3, 1, "accepted", 200, 0)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """What is shown, by name and values of the labels."""
    return dict(_samples(metrics))


def _samples(metrics: Metrics) -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            yield (sample.name, tuple(sample.labels.values())), sample.value


def new_event(*names: str, warnings: tuple[Note, ...] = ()) -> NewEvent:
    """One with a delivery under each of these names."""
    deliveries = tuple(
        PlannedDelivery("toy", "Greet", "one", name, "m-1", b"{}") for name in names
    )
    planned = Disposition.PLANNED
    return NewEvent("web", "m-1", "track", NOW, b"{}", planned, deliveries, warnings)


def test_readings_are_what_is_shown() -> None:
    metrics = Metrics()
    metrics.received.labels("web", "planned").inc(3)
    metrics.turned_away.labels("busy").inc()
    metrics.count_request(REQUEST)
    assert metrics.readings() == {
        ("events_kept", ("web", "planned")): 3.0,
        ("turned_away", ("busy",)): 1.0,
        ("destination_requests", ("toy", "accepted")): 1.0,
        ("destination_codes", ("toy", "0")): 1.0,
    }
    shown = samples(metrics)
    for (name, labels), value in metrics.readings().items():
        full = f"relay_{name}"
        assert full in COUNTERS
        names = sorted(zip(COUNTERS[full].labels, labels, strict=True))
        assert shown[f"{full}_total", tuple(value for _, value in names)] == value


def test_an_event_counts_under_names_that_are_defined_or_spelt_out() -> None:
    spelt = PresetDefinition(
        "Spelt", 'event = "Hi"', "greet", {"name": "Wave", "age": {"@path": "$.properties.age"}}
    )
    metrics = Metrics()
    metrics.expect([target(definition(), spelt)])
    metrics.count_kept(new_event("Greeting", "Ada Lovelace", "Wave"))
    metrics.count_settled(CLAIMED, "delivered")
    metrics.count_settled(replace(CLAIMED, event_name="Wave", mapping="Spelt"), "dead")
    metrics.count_settled(replace(CLAIMED, event_name="Wave", mapping="Gone"), "held")
    assert metrics.readings() == {
        ("deliveries_planned", ("web", "toy", "Greet", "Greeting")): 1.0,
        ("deliveries_planned", ("web", "toy", "Greet", "other")): 2.0,
        ("deliveries_settled", ("web", "toy", "Greet", "Greeting", "delivered")): 1.0,
        ("deliveries_settled", ("web", "toy", "Spelt", "Wave", "dead")): 1.0,
        ("deliveries_settled", ("web", "toy", "Gone", "other", "held")): 1.0,
    }


def test_positions_in_lists_are_one_field() -> None:
    metrics = Metrics()
    notes = tuple(Note("toy", "Greet", f"contents.{n}.price", "is odd") for n in range(3))
    metrics.count_kept(new_event(warnings=notes))
    assert metrics.readings() == {
        ("mapping_warnings", ("web", "toy", "Greet", "contents.*.price")): 3.0
    }


@pytest.mark.parametrize(
    ("status", "code", "label"),
    [(200, 40002, "40002"), (502, None, "http_502"), (None, None, "none"), (401, 40105, "40105")],
)
def test_the_code_of_an_answer(status: int | None, code: int | None, label: str) -> None:
    metrics = Metrics()
    metrics.count_request(replace(REQUEST, status=status, code=code))
    assert metrics.readings()["destination_codes", ("toy", label)] == 1.0


def test_codes_are_few_whatever_is_answered() -> None:
    metrics = Metrics()
    for code in range(500):
        metrics.count_request(replace(REQUEST, code=code))
    codes = {labels[1] for name, labels in metrics.readings() if name == "destination_codes"}
    assert len(codes) == 101
    assert metrics.readings()["destination_codes", ("toy", "other")] == 400.0


def test_a_delivery_is_timed_from_the_receipt_of_its_event() -> None:
    metrics = Metrics()
    metrics.count_delivered(CLAIMED, NOW + timedelta(minutes=3))
    shown = samples(metrics)
    assert shown["relay_delivery_seconds_sum", ("toy",)] == 180.0
    assert shown["relay_delivery_seconds_bucket", ("toy", "300.0")] == 1.0
    assert shown["relay_delivery_seconds_bucket", ("toy", "60.0")] == 0.0


def test_figures_are_shown_and_what_is_no_longer_there_goes() -> None:
    metrics = Metrics()
    metrics.show(
        Figures(
            waiting={("toy", "pending"): 3, ("old", "held"): 1},
            oldest_seconds={"toy": 61.5, "old": 9.0},
            sizes={"database": 1, "log": 2, "disk_free": 3, "disk_size": 4},
            waiting_events=5,
            waiting_bytes=6,
            turns={"toy": NOW},
            alerts={("lane_held", "toy", "critical")},
        )
    )
    shown = samples(metrics)
    assert shown["relay_deliveries_waiting", ("toy", "pending")] == 3
    assert shown["relay_deliveries_waiting", ("toy", "held")] == 0, "it is there"
    assert shown["relay_oldest_waiting_seconds", ("toy",)] == 61.5
    assert shown["relay_worker_turn_timestamp_seconds", ("toy",)] == NOW.timestamp()
    assert shown["relay_alerts_open", ("lane_held", "critical", "toy")] == 1
    names = ("store_database", "store_log", "disk_free", "disk_size")
    assert [shown[f"relay_{name}_bytes", ()] for name in names] == [1, 2, 3, 4]
    assert shown["relay_store_waiting_events", ()] == 5
    assert shown["relay_store_waiting_bytes", ()] == 6
    metrics.show(Figures(waiting={("toy", "pending"): 2}))
    shown = samples(metrics)
    assert shown["relay_deliveries_waiting", ("toy", "pending")] == 2
    assert ("relay_deliveries_waiting", ("old", "held")) not in shown
    assert ("relay_alerts_open", ("lane_held", "critical", "toy")) not in shown
    assert shown["relay_disk_free_bytes", ()] == 3, "what was not measured stays"


def test_canaries_and_configurations() -> None:
    metrics = Metrics()
    metrics.count_canary("toy", "failed", None)
    assert ("relay_canary_last_success_timestamp_seconds", ("toy",)) not in samples(metrics)
    metrics.count_canary("toy", "succeeded", NOW)
    metrics.show_configuration(7, NOW)
    shown = samples(metrics)
    assert shown["relay_canary_last_success_timestamp_seconds", ("toy",)] == NOW.timestamp()
    assert shown["relay_canary_runs_total", ("toy", "failed")] == 1
    assert shown["relay_configuration_version", ()] == 7
    last = "relay_configuration_last_success_timestamp_seconds"
    assert shown[last, ()] == NOW.timestamp()


def test_no_series_says_when_another_began() -> None:
    metrics = Metrics()
    metrics.received.labels("web", "planned").inc()
    assert b"_created" not in metrics.exposition()


def test_what_is_written_later_is_how_things_stood() -> None:
    metrics = Metrics()
    metrics.count_delivered(CLAIMED, NOW)
    metrics.received.labels("web", "planned").inc()
    write, before = metrics.taken(), metrics.exposition()
    metrics.count_delivered(CLAIMED, NOW)
    metrics.received.labels("web", "planned").inc()
    metrics.received.labels("shop", "planned").inc()
    assert _ours(write()) == _ours(before) != _ours(metrics.exposition())


def _ours(exposition: bytes) -> list[bytes]:
    return [line for line in exposition.splitlines() if line.startswith(b"relay_")]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.1, "0.1"), (0.10001, "0.5"), (0.0, "0.1"), (7 * 86_400.1, "+Inf")]
)
def test_a_bucket_holds_what_took_no_longer(seconds: float, bucket: str) -> None:
    metrics = Metrics()
    metrics.count_delivered(CLAIMED, NOW + timedelta(seconds=seconds))
    shown = samples(metrics)
    buckets = [
        (labels[1], value)
        for (name, labels), value in shown.items()
        if name == "relay_delivery_seconds_bucket"
    ]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert next(bound for bound, value in buckets if value == 1) == bucket
    assert shown["relay_delivery_seconds_count", ("toy",)] == 1

"""What counts as a conversion: the 48-hour rule, and all or nothing."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from sandbox.bodies import body, event

if TYPE_CHECKING:
    from conversion_relay.sandbox.answers import Json
    from sandbox.conftest import Stage

HOURS_48 = 48 * 3600


@pytest.mark.parametrize(
    ("passed", "copies"),
    [
        (0.0, [1]),
        (HOURS_48 - 1.0, [1]),
        (HOURS_48 + 0.0, [0, 0]),
        (HOURS_48 + 1.0, [0, 0]),
    ],
)
async def test_a_copy_is_one_only_within_48_hours(
    stage: Stage, passed: float, copies: list[int]
) -> None:
    await stage.post(body(event()))
    stage.time.now += passed
    await stage.post(body(event()))
    assert [one.copies for one in stage.sandbox.ledger.conversions()] == copies


async def test_copies_do_not_prolong_the_48_hours(stage: Stage) -> None:
    for _ in range(3):
        await stage.post(body(event()))
        stage.time.now += HOURS_48 - 3600
    assert [one.copies for one in stage.sandbox.ledger.conversions()] == [1, 0]


async def test_a_second_conversion_has_48_hours_of_its_own(stage: Stage) -> None:
    await stage.post(body(event()))
    stage.time.now += HOURS_48 + 1
    await stage.post(body(event()))
    stage.time.now += HOURS_48 - 1
    await stage.post(body(event()))
    assert [one.copies for one in stage.sandbox.ledger.conversions()] == [0, 1]


@pytest.mark.parametrize(
    "other",
    [
        body(event("e-2")),
        body({**event("e-1"), "event": "AddToCart"}),
        {**body(event("e-1")), "event_source_id": "OTHER"},
    ],
    ids=["event_id", "event", "event_source_id"],
)
async def test_each_part_of_the_key_tells_conversions_apart(
    stage: Stage, other: dict[str, Json]
) -> None:
    await stage.post(body(event("e-1")))
    await stage.post(other)
    assert [one.copies for one in stage.sandbox.ledger.conversions()] == [0, 0]


async def test_events_without_an_id_are_never_copies(stage: Stage) -> None:
    nameless: Json = {"event": "Purchase", "event_time": 1_759_999_000}
    await stage.post(body(nameless, nameless))
    assert [one.copies for one in stage.sandbox.ledger.conversions()] == [0, 0]


async def test_a_batch_may_hold_its_own_copies(stage: Stage) -> None:
    await stage.post(body(event("a"), event("b"), event("a")))
    assert stage.copies() == {"a": 1, "b": 0}


async def test_one_bad_event_keeps_the_whole_batch_out(stage: Stage) -> None:
    await stage.post(body(event("a")))
    code, _message = await stage.code_and_message(body(event("a"), event("b"), event("")))
    assert code == 40002
    assert stage.copies() == {"a": 0}


async def test_conversions_are_shown_in_the_order_of_first_arrival(stage: Stage) -> None:
    await stage.post(body(event("b"), event("a"), test_event_code="TEST1"))
    await stage.post(body(event("a", user={"country": "de"})))
    response = await stage.client.get("/__sandbox/conversions")
    canonical = json.dumps(event("a"), sort_keys=True, separators=(",", ":"))
    first, second = response.json()["conversions"]
    assert first["event_id"] == "b"
    assert second == {
        "event": "Purchase",
        "event_id": "a",
        "event_source_id": "PIXEL",
        "event_time": 1_759_999_000,
        "copies": 1,
        "altered_copies": 1,
        "sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }

"""A lane's keeper over the real store: what it remembers, releases and says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from conversion_relay.core.delivery import (
    Accepted,
    Cause,
    CredentialProblem,
    State,
    Transition,
    Unknown,
)
from conversion_relay.core.lane import Condition, LanePolicy, Probe, Wait
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import LaneRecord, Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.surroundings import Surroundings
from service.store.examples import LEASE, NOW, event
from support.lines import Lines
from support.time import VirtualTime

DENIED, GONE = CredentialProblem("revoked"), Unknown("gone")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "relay.db", Sealer((bytes(32),)))
    yield opened
    await opened.close()


def keeper(
    store: SqliteStore,
    credential: str = "token",
    log: Lines | None = None,
    settings: str = "pixel",
) -> tuple[LaneKeeper, Metrics]:
    """A keeper of the lane of `tiktok`, and the metrics that show it."""
    clock, metrics = VirtualTime(NOW), Metrics()
    around = Surroundings(clock, lambda: 0.5, metrics, log or Lines(), clock.sleep)
    return LaneKeeper("tiktok", credential, settings, store, LanePolicy(), around), metrics


async def hold_one(store: SqliteStore) -> None:
    """Leaves one delivery held."""
    await store.append([event("a")])
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    held = Transition(State.HELD, Cause.CREDENTIALS, reason="revoked")
    await store.settle([Settlement(claim.id, claim.fence, held)], NOW)


async def state_of(store: SqliteStore) -> State:
    """Of the one delivery."""
    (record,) = await store.deliveries(["a"])
    return record.state


async def test_a_held_lane_is_told_shown_and_remembered(store: SqliteStore) -> None:
    log = Lines()
    lane, metrics = keeper(store, log=log)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    assert [line for line in log.lines if line[1] == "lane.held"] == [
        (
            "error",
            "lane.held",
            {
                "destination": "tiktok",
                "reason": "revoked",
                "before": "flowing",
                "seconds_before": None,
            },
        )
    ]
    shown = metrics.exposition().decode()
    assert 'relay_lane_condition{condition="held",destination="tiktok"} 1.0' in shown
    assert 'relay_lane_condition{condition="flowing",destination="tiktok"} 0.0' in shown
    assert await store.lanes() == (
        LaneRecord("tiktok", lane.fingerprint, Condition.HELD, NOW, "revoked"),
    )


async def test_after_a_restart_a_held_lane_is_tried_at_once(store: SqliteStore) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    await hold_one(store)
    again, _ = keeper(store)
    await again.begin()
    assert again.lane.condition is Condition.HELD
    assert again.permit() == Probe()
    assert await state_of(store) is State.HELD


async def test_another_credential_begins_anew_and_frees_what_was_held(store: SqliteStore) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    await hold_one(store)
    again, _ = keeper(store, "another-token")
    await again.begin()
    assert again.lane.condition is Condition.FLOWING
    assert await state_of(store) is State.PENDING


async def test_other_settings_begin_anew_as_well(store: SqliteStore) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    again, _ = keeper(store, settings="another pixel")
    await again.begin()
    assert again.lane.condition is Condition.FLOWING


async def test_a_renewed_credential_is_no_reason_to_risk_batches_in_an_outage(
    store: SqliteStore,
) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    for _ in range(5):
        await lane.answered([GONE], "token", NOW)
    await lane.renew("another-token")
    assert lane.lane.condition is Condition.OPEN
    assert lane.permit() == Probe(), "but it is tried at once"


async def test_a_good_answer_frees_what_was_held(store: SqliteStore) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    await hold_one(store)
    await lane.answered([GONE], "token", NOW)
    assert await state_of(store) is State.HELD
    await lane.answered([Accepted()], "token", NOW)
    assert await state_of(store) is State.PENDING
    assert (await store.lanes())[0].condition is Condition.FLOWING


async def test_a_renewed_credential_goes_on_at_once(store: SqliteStore) -> None:
    log = Lines()
    lane, _ = keeper(store, log=log)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    await hold_one(store)
    await lane.renew("token")
    assert lane.permit() == Wait(NOW + timedelta(seconds=20)), "nothing changed"
    await lane.renew("another-token")
    assert lane.lane.condition is Condition.FLOWING
    assert await state_of(store) is State.PENDING
    assert "lane.renewed" in log.events
    assert "token" not in str(log.lines).replace("another-token", "token").replace("lane.", "")


async def test_a_late_answer_to_the_old_credential_says_nothing_of_the_new(
    store: SqliteStore,
) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.renew("another-token")
    await hold_one(store)
    await lane.answered([DENIED], "token", NOW)
    assert lane.lane.condition is Condition.FLOWING
    assert await state_of(store) is State.PENDING


async def test_a_lane_that_was_replaced_speaks_for_nobody(store: SqliteStore) -> None:
    log = Lines()
    lane, _ = keeper(store, log=log)
    await lane.begin()
    lane.retire()
    await hold_one(store)
    await lane.answered([DENIED], "token", NOW)
    assert await state_of(store) is State.PENDING, "it is the new lane's to try"
    assert (lane.lane.condition, log.events) == (Condition.FLOWING, [])
    assert not await store.lanes()


async def test_a_lane_whose_destination_is_gone_is_not_shown(store: SqliteStore) -> None:
    lane, metrics = keeper(store)
    await lane.begin()
    assert b"relay_lane_condition{" in metrics.exposition()
    lane.hide()
    assert b"relay_lane_condition{" not in metrics.exposition()


async def test_an_operator_has_it_tried_at_once(store: SqliteStore) -> None:
    lane, _ = keeper(store)
    await lane.begin()
    await lane.answered([DENIED], "token", NOW)
    assert lane.permit() == Wait(NOW + timedelta(seconds=20))
    await lane.resume()
    assert lane.permit() == Probe()


class Unwritable:
    """A store that cannot be written."""

    async def keep_lane(self, _: LaneRecord) -> None:
        """Fails."""
        raise StoreUnavailable("disk full")

    async def release(self, *_: object) -> int:
        """Fails."""
        raise StoreUnavailable("disk full")


async def test_a_store_that_cannot_be_written_stops_no_lane(store: SqliteStore) -> None:
    log = Lines()
    lane, _ = keeper(store, log=log)
    lane.store = Unwritable()  # type: ignore[assignment] # only what a change of condition asks
    await lane.answered([DENIED], "token", NOW)
    await lane.answered([Accepted()], "token", NOW)
    assert lane.lane.condition is Condition.FLOWING
    assert log.events == [
        *("lane.held", "lane.not_kept"),
        *("lane.flowing", "lane.not_kept", "lane.not_released"),
    ]

"""Whatever workers do, no delivery appears or disappears, and the totals are a true count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import LIFE, Cause, State, Transition
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import ClaimedDelivery, Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import APP, LEASE, NOW, WEB, delivery, event

MESSAGE_IDS = st.sampled_from([f"m{number}" for number in range(12)])
CAUSES = st.sampled_from(
    [
        Cause.DEFERRED,
        Cause.UNKNOWN,
        Cause.ACCEPTED,
        Cause.REFUSED,
        Cause.PAST_RECOGNITION,
        Cause.CREDENTIALS,
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(MESSAGE_IDS, max_size=6)),
        st.tuples(st.just("claim"), st.integers(0, 5)),
        st.tuples(st.just("probe"), st.just(1)),
        st.tuples(st.just("release"), st.just("tiktok")),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 40), CAUSES)),
    ),
    max_size=25,
)


def settlement(claim: ClaimedDelivery, cause: Cause) -> Settlement:
    state = LIFE[State.CLAIMED, cause]
    due_at = NOW if state is State.PENDING else None
    return Settlement(claim.id, claim.fence, Transition(state, cause, due_at))


async def run(store: SqliteStore, steps: Sequence[tuple[str, object]]) -> None:
    """Each step a lease later than the one before, so that leases run out."""
    claims: list[ClaimedDelivery] = []
    kept: set[str] = set()
    for number, step in enumerate(steps):
        now = NOW + number * LEASE / 2
        match step:
            case ("append", list() as names):
                envelopes = {name: (WEB, APP)[len(name) % 2] for name in names}
                events = [event(n, delivery(n, envelope=envelopes[n])) for n in names]
                assert (await store.append(events)).accepted == len(set(names) - kept)
                kept |= set(names)
            case ("claim", int() as limit):
                claims += await store.claim("tiktok", limit, LEASE, now)
            case ("probe", 1):
                claims += await store.claim_probe("tiktok", LEASE, now)
            case ("release", "tiktok"):
                held = (await store.totals()).deliveries.get(("tiktok", State.HELD), 0)
                assert await store.release("tiktok", now) == held
            case ("settle", (int() as which, Cause() as cause)) if claims:
                await store.settle([settlement(claims[which % len(claims)], cause)], now)
            case _:
                pass
        await check(store, kept)


async def check(store: SqliteStore, kept: set[str]) -> None:
    records = await store.deliveries(sorted(kept))
    assert sorted(record.message_id for record in records) == sorted(kept)
    totals = await store.totals()
    assert totals.deliveries == Counter((r.destination, r.state) for r in records)
    assert sum(totals.events.values()) == len(kept)
    waits = any(record.state in {State.PENDING, State.CLAIMED} for record in records)
    assert (await store.next_due("tiktok") is not None) == waits


@settings(max_examples=25, deadline=timedelta(seconds=20))
@given(STEPS)
def test_deliveries_are_conserved(steps: list[tuple[str, object]]) -> None:
    async def main() -> None:
        with TemporaryDirectory() as folder:
            store = await open_store(Path(folder) / "relay.db", Sealer([KEY]))
            await run(store, steps)
            await store.close()

    asyncio.run(main())

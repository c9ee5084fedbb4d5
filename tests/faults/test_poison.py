"""Row 6. Events that TikTok refuses travel with others: they cost those nothing.

Each of TikTok's spellings that names the event, and the one that names none, over the wire.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Final

import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.sandbox import Fault
from conversion_relay.sandbox.answers import SPELLINGS
from conversion_relay.service.store.port import Selection
from faults.conftest import Report, size_of
from faults.judge import judge
from faults.process import Shop
from support.running import World, world

_SEED: Final = 20261124
_NAMELESS: Final = "anonymous"
_MOST_REQUESTS: Final = 13
"""For one among fifty that nobody names: the whole, then twice as many as it can be halved."""


async def _relayed(world: World, shop: Shop, count: int, poison: int, spelling: str) -> int:
    """Posts a batch, some of it poisoned; gives the requests that it took to settle all of it."""
    draw = random.Random(f"{_SEED} {spelling}")  # noqa: S311 - repeatable on purpose
    batch = list(shop.events(count))
    poisoned = {str(event["messageId"]) for event in draw.sample(batch, poison)}
    world.sandbox.faults.switch_on(
        Fault("reject_event_id", name, spelling=spelling) for name in sorted(poisoned)
    )
    before = world.sandbox.journal.written
    assert (await world.post(list(batch))).status_code == 200
    await world.settled()
    shop.acknowledged |= {str(event["messageId"]) for event in batch} - poisoned
    records = await world.relay.store.deliveries([str(event["messageId"]) for event in batch])
    assert {record.message_id for record in records if record.state is State.DEAD} == poisoned
    assert {record.attempts for record in records} == {1}, "all of it in one lease"
    page = await world.relay.store.select(Selection(message_ids=frozenset(poisoned)), 0, count)
    kept = {event.message_id: event.original for event in page.events}
    assert kept == {str(e["messageId"]): orjson.dumps(e) for e in batch if _named(e, poisoned)}
    world.sandbox.faults.switch_off()
    return world.sandbox.journal.written - before


def _named(event: object, names: set[str]) -> bool:
    return isinstance(event, dict) and event["messageId"] in names


def _at_most(count: int, poison: int) -> int:
    """Requests, if nobody names any: each poison event costs a way down a tree of halves."""
    return 2 * poison * math.ceil(math.log2(count)) + 1


async def _figures(folder: Path, count: int, poison: int, rounds: int) -> tuple[str, int, int]:
    """In words, and the most requests it took: where one is named, and where none is."""
    shop, used = Shop(_SEED), dict.fromkeys(SPELLINGS, 0)
    async with world(folder) as running:
        for spelling in SPELLINGS:
            for _ in range(rounds):
                requests = await _relayed(running, shop, count, poison, spelling)
                used[spelling] = max(used[spelling], requests)
    conversions = running.sandbox.ledger.conversions()
    verdict = judge(conversions, shop.acknowledged, shop.posted)
    nameless = used.pop(_NAMELESS)
    named = max(used.values())
    assert verdict.is_flawless
    assert (
        verdict.conversions == verdict.acknowledged == len(SPELLINGS) * rounds * (count - poison)
    )
    assert all(one.copies == 0 for one in conversions)
    words = f"in {named} requests if named ({len(used)} spellings), in {nameless} if not"
    return f"isolated {words}; {verdict}; originals kept", named, nameless


@pytest.mark.slow
async def test_one_in_fifty_is_isolated(tmp_path: Path, report: Report) -> None:
    rounds = size_of(quick=1, short=10, full=50)
    words, named, nameless = await _figures(tmp_path, 50, 1, rounds)
    report(6, f"1 poison event in 50, x{rounds}: {words}")
    assert named <= 2
    assert nameless <= _MOST_REQUESTS


@pytest.mark.slow
async def test_several_in_a_thousand_are_isolated(tmp_path: Path, report: Report) -> None:
    count = size_of(quick=200, short=1_000, full=1_000)
    poison = size_of(quick=2, short=7, full=7)
    words, named, nameless = await _figures(tmp_path, count, poison, rounds=1)
    report(6, f"{poison} poison events in {count:,}: {words}")
    assert named <= poison + 1
    assert nameless <= _at_most(count, poison)

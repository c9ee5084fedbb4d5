"""The newest events of a store, for those who look at no others."""

from __future__ import annotations

import pytest

from conversion_relay.service.store.port import Selection, Store
from service.store.examples import event


@pytest.mark.parametrize(
    ("count", "found"), [(0, 0), (1, 1), (3, 3), (5, 5), (6, 5), (100_000, 5)]
)
async def test_the_newest_come_after_the_id(store: Store, count: int, found: int) -> None:
    for number in range(5):
        await store.append([event(f"m-{number}")])
    page = await store.select(Selection(), await store.before_newest(count), 10)
    expected = [f"m-{number}" for number in range(5 - found, 5)]
    assert [one.message_id for one in page.events] == expected


async def test_of_an_empty_store_there_are_none(store: Store) -> None:
    page = await store.select(Selection(), await store.before_newest(10), 10)
    assert (page.events, page.after) == ((), None)

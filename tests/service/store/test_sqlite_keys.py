"""Rotation of the encryption key: a key can go once nothing sealed with it is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Disposition, Retention, Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event

NEW = bytes(32)
LATER = NOW + timedelta(days=10)


async def swept(store: SqliteStore) -> None:
    while not (await store.sweep(Retention(), LATER)).is_done:
        pass


async def opened(path: Path, *keys: bytes) -> SqliteStore:
    return await open_store(path, Sealer(keys))


async def test_a_key_that_sealed_nothing_that_is_left_can_go(path: Path) -> None:
    store = await opened(path, KEY)
    await store.append([event("a")])
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([delivered(claims[0])], NOW)
    await store.close()
    store = await opened(path, NEW, KEY)
    await store.append([replace(event("b"), received_at=LATER)])
    await swept(store)
    await store.close()
    store = await opened(path, NEW)
    (claim,) = await store.claim("tiktok", 10, LEASE, LATER)
    assert claim.message_id == "b"
    await store.close()
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT key_id FROM sealing_keys").get == Sealer([NEW]).key_id
    connection.close()


async def test_a_key_of_a_database_without_data_can_go(path: Path) -> None:
    await (await opened(path, KEY)).close()
    store = await opened(path, NEW)
    assert (await store.append([event("a")])).accepted == 1
    await store.close()


async def test_a_key_that_sealed_an_original_is_needed(path: Path) -> None:
    store = await opened(path, KEY)
    kept = replace(event("a"), disposition=Disposition.REJECTED, deliveries=())
    await store.append([kept])
    await store.close()
    refused = f"sealed with another key \\(id {Sealer([KEY]).key_id}\\): give that key back"
    with pytest.raises(ConfigurationError, match=refused):
        await opened(path, NEW)
    await (await opened(path, NEW, KEY)).close()
    with pytest.raises(ConfigurationError, match=refused):
        await opened(path, NEW)


async def test_a_key_that_sealed_a_body_is_needed(path: Path) -> None:
    store = await opened(path, KEY)
    await store.append([event("a", original=b"x"), event("b", original=b"y")])
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    dead = Transition(State.DEAD, Cause.REFUSED, None, "no")
    ends = [delivered(claims[0]), Settlement(claims[1].id, claims[1].fence, dead)]
    await store.settle(ends, NOW)
    await store.close()
    store = await opened(path, NEW, KEY)
    await swept(store)  # the chunk of originals is sealed anew, the body of the dead one is not
    await store.close()
    with pytest.raises(ConfigurationError, match="can be taken away once nothing"):
        await opened(path, NEW)

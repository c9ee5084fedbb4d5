"""A damaged row ends alone; a fault of the store reaches its callers as what they expect."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, event

CLOSED = "the stored body cannot be opened"
UNREADABLE = "the stored row cannot be read"
BAD_TEXT = "CAST(x'ff41' AS TEXT)"
FAR = 9_000_000_000_000_000_000


async def open_damaged(path: Path, *assignments: str) -> SqliteStore:
    """A store with the events a, b and c, of b these columns spoilt: `table.column = value`."""
    store = await open_store(path, Sealer([KEY]))
    await store.append([event("a"), event("b"), event("c")])
    await store.close()
    connection = apsw.Connection(str(path))
    for assignment in assignments:
        table, _, change = assignment.partition(".")
        connection.execute(f"UPDATE {table} SET {change} WHERE id = 2")  # noqa: S608
    connection.close()
    return await open_store(path, Sealer([KEY]))


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        (f"deliveries.accepted_at = {FAR}", UNREADABLE),
        (f"deliveries.accepted_at = -{FAR}", UNREADABLE),
        (f"deliveries.first_unknown_at = {FAR}", UNREADABLE),
        (f"deliveries.mapping = {BAD_TEXT}", CLOSED),
        (f"events.source = {BAD_TEXT}", CLOSED),
        ("deliveries.body = x''", CLOSED),
        ("deliveries.event = 4711", CLOSED),
    ],
)
async def test_a_row_that_cannot_be_read_is_put_aside(
    path: Path, assignment: str, reason: str
) -> None:
    store = await open_damaged(path, assignment)
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    assert [claim.message_id for claim in claims] == ["a", "c"]
    assert await store.claim("tiktok", 10, LEASE, NOW + LEASE / 2) == ()
    await store.close()
    connection = apsw.Connection(str(path))
    query = "SELECT state, reason FROM deliveries WHERE id = 2"
    assert connection.execute(query).get == (State.DEAD.value, reason)
    connection.close()


async def test_a_row_that_is_due_alone_and_cannot_be_read_is_put_aside(path: Path) -> None:
    store = await open_damaged(path, "deliveries.event = 4711", "deliveries.due_at = 1")
    assert await store.claim("tiktok", 1, LEASE, NOW) == ()
    assert (await store.totals()).deliveries == {
        ("tiktok", State.PENDING): 2, ("tiktok", State.DEAD): 1,
    }  # fmt: skip
    await store.close()


async def test_a_damaged_name_that_is_only_shown_costs_nothing(path: Path) -> None:
    store = await open_damaged(path, f"deliveries.event_name = {BAD_TEXT}")
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    assert [claim.event_name for claim in claims] == [
        "CompletePayment",
        "\ufffdA",
        "CompletePayment",
    ]
    (record,) = await store.deliveries(["b"])
    assert record.event_name == "\ufffdA"
    await store.close()


async def test_a_due_time_that_is_none_does_not_stop_the_others(path: Path) -> None:
    store = await open_damaged(path, f"deliveries.due_at = -{FAR}")
    assert await store.next_due("tiktok") == datetime.min.replace(tzinfo=UTC)
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 3
    await store.close()


async def _claim(store: SqliteStore) -> object:
    return await store.claim("tiktok", 10, timedelta.max, NOW)


async def _settle(store: SqliteStore) -> object:
    return await store.settle(
        [Settlement(1, 1, Transition(State.DEAD, Cause.REFUSED, reason="\ud83d"))], NOW
    )


async def _next_due(store: SqliteStore) -> object:
    return await store.next_due("cut \ud83d")


async def _append(store: SqliteStore) -> object:
    return await store.append([replace(event("b"), message_id="cut \ud83d")])


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (_claim, "OverflowError"),
        (_settle, "JSONEncodeError|TypeError"),
        (_next_due, "UnicodeEncodeError"),
        (_append, "JSONEncodeError|TypeError"),
    ],
)
async def test_a_fault_of_the_store_is_told_without_the_data(
    path: Path, work: Callable[[SqliteStore], Coroutine[None, None, object]], kind: str
) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([event("a")])
    with pytest.raises(StoreUnavailable, match=rf"a fault of its own \(({kind})\)$"):
        await work(store)
    assert store.trouble() is None  # the database is well
    await store.close()

"""What is particular to the history over PostgreSQL: who holds it back, sizes, sealing, texts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.history import RequestRecord
from conversion_relay.service.store.port import Retention
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.postgres.strain import Clock, Course, Holder, strain
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, delivery, event, retried
from service.store.test_contract_history import ALERT, EUR, REQUEST, SILENT, VERSION, worth
from support.postgres import new_database

DAY = timedelta(days=1)
MANY = 25_000


@pytest.fixture
async def url() -> str:
    """Of a database of this test."""
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """An open store."""
    store = await open_store(Address(url, weak_durability=True), Sealer([KEY]))
    yield store
    await store.close()


@pytest.fixture
async def raw(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection past the store."""
    named = {"application_name": "nightly dump"}
    connection = await asyncpg.connect(url, server_settings=named)
    yield connection
    connection.terminate()


# What wears on the database


async def test_an_open_old_transaction_is_told_until_it_ends(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    transaction = raw.transaction(isolation="repeatable_read")
    await transaction.start()
    await raw.fetchval("SELECT count(*) FROM events WHERE reason = 'a secret'")
    first = await store.history.strain()
    assert first.holder == "a transaction of “nightly dump” (idle in transaction)"
    assert timedelta() < first.oldest_transaction < timedelta(minutes=2)
    assert (await store.history.strain()).oldest_transaction > first.oldest_transaction
    await transaction.rollback()
    assert (await store.history.strain()).holder is None


async def test_an_open_transaction_that_holds_nothing_is_no_strain(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    async with raw.transaction():
        await raw.execute("SELECT count(*) FROM events")
        assert (await store.history.strain()).oldest_transaction == timedelta()


async def test_one_that_wrote_holds_though_it_reads_nothing_now(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    async with raw.transaction():
        await raw.execute("INSERT INTO duties VALUES ('a', 'b', now())")
        assert (await store.history.strain()).oldest_transaction > timedelta()


async def test_a_replication_slot_is_told(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    """Its oldest transaction cannot be made here: that it is asked for, and how it is aged."""
    name = f"standby_{await raw.fetchval('SELECT current_database()')}"
    await raw.execute("SELECT pg_create_physical_replication_slot($1, true)", name)
    try:
        kinds = {kind for kind, *_ in await raw.fetch(QUERIES["holders"])}
        assert kinds <= {"session"}, "a slot without an xmin holds nothing"
    finally:
        await raw.execute("SELECT pg_drop_replication_slot($1)", name)
    assert (await store.history.strain()).holder is None


async def test_every_look_is_remembered(raw: asyncpg.Connection[asyncpg.Record]) -> None:
    course = Course()
    await strain(raw, course)  # type: ignore[arg-type]
    assert course.seconds_since(0, Clock(1e12, 1_000_000)) > 0


def test_a_slot_is_as_old_as_the_first_look_after_its_transaction() -> None:
    course = Course()
    for seconds, transaction in ((1_000.0, 50), (1_010.0, 55), (1_030.0, 60), (1_060.0, 90)):
        course.note(Clock(seconds, transaction))
    now = Clock(1_100.0, 100)
    slot = Holder("slot", "replica", "inactive", None, 45)
    assert course.age(slot, now) == 70.0, "60 is the first that came after 55"
    assert slot.words == "the replication slot “replica” (inactive)"
    assert course.age(slot._replace(transactions=0), now) == 0.0
    assert course.age(slot._replace(transactions=99), now) == 100.0
    assert Holder("session", "", "", 1.0, 1).words == "a transaction of a program without a name"


async def test_of_the_disk_of_a_server_nothing_is_said(store: PostgresStore) -> None:
    sizes = await store.history.sizes()
    assert sizes.keys() == {"database", "log"}
    assert min(sizes.values()) > 0


async def test_a_role_that_may_not_ask_for_the_log_is_told_of_none(
    url: str, raw: asyncpg.Connection[asyncpg.Record]
) -> None:
    role = f"r_{await raw.fetchval('SELECT current_database()')}"
    await raw.execute(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};")
    for kind in ("TABLES", "SEQUENCES"):
        await raw.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {role}")
    address = Address(url.replace("postgres@", f"{role}@"), weak_durability=True)
    store = await open_store(address, Sealer([KEY]))
    assert (await store.history.sizes())["log"] == 0
    assert (await store.history.strain()).oldest_transaction == timedelta()
    await store.close()


# Cost


async def test_an_ordinary_delivery_costs_no_further_row(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a"), event("b")])
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([delivered(one) for one in claims], NOW, REQUEST)
    assert await raw.fetchval("SELECT count(*) FROM attempts") == 0
    requests = await raw.fetch("SELECT DISTINCT request FROM deliveries")
    assert len(requests) == 1


async def test_what_waits_is_found_without_reading_what_waits(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a")])
    await raw.execute(
        "INSERT INTO deliveries (id, event, envelope, mapping, event_name, accepted_at, state, "
        "due_at) SELECT id + n, event, envelope, mapping, event_name, accepted_at + n, 'pending', "
        "accepted_at + n FROM deliveries CROSS JOIN generate_series(1, $1::integer) AS n",
        MANY,
    )  # fmt: skip
    await raw.execute("ANALYZE deliveries")
    (waiting,) = await store.history.waiting()
    assert (waiting.count, waiting.oldest) == (MANY + 1, NOW)
    plan = await raw.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {QUERIES['waiting']}")
    lines = [line for (line,) in plan]
    assert not any("Seq Scan on deliveries" in line for line in lines), lines
    touched = next(line for line in lines if "Buffers: shared" in line)
    assert int(touched.partition("hit=")[2].partition(" ")[0] or 0) < 300, lines


async def test_many_that_wait_are_valued_over_pages(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a", worth("a", EUR))])
    await raw.execute(
        "INSERT INTO deliveries (id, event, envelope, mapping, event_name, accepted_at, state, "
        "due_at, value_micros, currency) SELECT id + n, event, envelope, mapping, event_name, "
        "accepted_at, 'pending', due_at, value_micros, currency "
        "FROM deliveries CROSS JOIN generate_series(1, $1::integer) AS n",
        MANY,
    )  # fmt: skip
    expected = {"EUR": EUR.micros * (MANY + 1)}
    assert await store.history.waiting_value("tiktok") == expected
    moments = await store.history.moments(NOW, NOW + DAY, DAY)
    assert [one.received for one in moments] == [MANY + 1]


# Sealing and texts


async def test_no_configuration_stands_readable_in_the_table(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.history.keep_version(VERSION)
    row = await raw.fetchrow("SELECT * FROM configurations")
    assert "RELAY_TOKEN" not in repr(row)


async def test_a_damaged_configuration_hides_no_other(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    first, second = [
        await store.history.keep_version(replace(VERSION, fingerprint=fingerprint))
        for fingerprint in ("a", "b")
    ]
    await raw.execute("UPDATE configurations SET fingerprint = 'x' WHERE id = $1", first)
    assert [one.id for one in await store.history.versions(10)] == [second]
    assert await store.history.version(first) is None


async def test_texts_of_others_come_back_as_they_were(store: PostgresStore) -> None:
    told = replace(SILENT, reason="no\x00answer\x1b", request_id="\x00")
    name = "Paid\x00"
    one = replace(delivery("a"), mapping=name, event_name=name)
    await store.append([event("a", one)])
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([retried(claim, NOW)], NOW, told)
    assert await store.history.attempts(claim.id) == (told,)
    (outcome,) = await store.history.outcomes(NOW, NOW + DAY, ())
    assert (outcome.mapping, outcome.event_name) == (name, name)
    number = await store.history.keep_alert(replace(ALERT, summary="a\x00b"))
    assert await store.history.alerts(1) == (replace(ALERT, id=number, summary="a\x00b"),)


async def test_attempts_are_swept_with_their_delivery(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a"), event("b")])
    for request in (SILENT, RequestRecord("tiktok", NOW, 0.1, 2, "accepted", 200, 0)):
        claims = await store.claim("tiktok", 10, LEASE, NOW)
        ends = [retried(one, NOW) for one in claims] if request is SILENT else []
        await store.settle(ends or [delivered(one) for one in claims], NOW, request)
    assert await raw.fetchval("SELECT count(*) FROM attempts") == 2
    while not (await store.sweep(Retention(), NOW + 7 * DAY)).is_done:
        pass
    assert await raw.fetchval("SELECT count(*) FROM attempts") == 0
    assert await raw.fetchval("SELECT count(*) FROM requests") == 2

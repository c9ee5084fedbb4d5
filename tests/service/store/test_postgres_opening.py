"""Opening a database: what is refused, and in which words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from conversion_relay.demo.postgres import Server
from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.pools import server_urls
from conversion_relay.service.store.postgres.schema import migrations
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, event
from support.ports import free_port
from support.postgres import fresh_database, new_database, rows_of, server

SECRET = "not-the-password"


@pytest.fixture(scope="module")
def durable() -> Iterator[Server]:
    with server(durable=True) as running:
        yield running


async def opened(address: Address) -> None:
    store = await open_store(address, Sealer([KEY]))
    await store.close()


async def refusal(address: Address) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await opened(address)
    return str(refused.value)


async def test_an_empty_database_gets_its_tables_whoever_comes_first(durable: Server) -> None:
    url = await asyncio.to_thread(fresh_database, durable)
    await asyncio.gather(*(opened(Address(url)) for _ in range(3)))
    rows = await rows_of(url, "SELECT version FROM schema_versions")
    assert [row["version"] for row in rows] == [one.version for one in migrations()]


async def test_a_server_that_may_forget_is_refused_unless_stated() -> None:
    url = await asyncio.to_thread(new_database)
    told = await refusal(Address(url))
    assert "synchronous_commit = off, fsync = off, full_page_writes = off" in told
    assert "weak_durability" in told
    await opened(Address(url, weak_durability=True))


async def test_a_role_that_commits_weakly_is_refused(durable: Server) -> None:
    url = await asyncio.to_thread(fresh_database, durable)
    name = url.rpartition("/")[2]
    await rows_of(url, f"ALTER DATABASE {name} SET synchronous_commit = local", "SELECT 1")
    assert "synchronous_commit = local" in await refusal(Address(url))
    await rows_of(url, f"ALTER DATABASE {name} SET synchronous_commit = remote_apply", "SELECT 1")
    await opened(Address(url))


async def test_a_database_that_is_not_there_is_named_as_missing(durable: Server) -> None:
    told = await refusal(Address(durable.url("nowhere")))
    assert "no database of that name" in told
    assert "nowhere" not in told


async def test_a_user_nobody_knows_is_told_what_to_correct(durable: Server) -> None:
    url = durable.url("postgres").replace("postgres@", "stranger@")
    told = await refusal(Address(url, SECRET))
    assert "RELAY_DATABASE_PASSWORD" in told
    assert SECRET not in told
    assert "stranger" not in told


async def test_a_user_without_rights_is_told_which(durable: Server) -> None:
    url = await asyncio.to_thread(fresh_database, durable)
    await rows_of(url, "CREATE ROLE guest LOGIN", "SELECT 1")
    told = await refusal(Address(url.replace("postgres@", "guest@")))
    assert "CREATE on its schema" in told


async def test_a_database_that_cannot_keep_every_text_is_refused(durable: Server) -> None:
    await rows_of(
        durable.url("postgres"),
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
        "SELECT 1",
    )
    told = await refusal(Address(durable.url("ascii")))
    assert "server_encoding = SQL_ASCII" in told


async def test_a_newer_schema_is_left_alone(durable: Server) -> None:
    url = await asyncio.to_thread(fresh_database, durable)
    await opened(Address(url))
    await rows_of(url, "INSERT INTO schema_versions VALUES (999)", "SELECT 1")
    assert "has schema 999" in await refusal(Address(url))


async def test_where_nothing_listens_is_said_so() -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()}/relay"
    with pytest.raises(StoreUnavailable, match="nothing listens at its address"):
        await opened(Address(url))


async def test_behind_a_pooler_nothing_is_set_and_nothing_prepared(durable: Server) -> None:
    url = await asyncio.to_thread(fresh_database, durable)
    store = await open_store(Address(url, pooled=True), Sealer([KEY]))
    await store.append([event("a")])
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 1
    await store.close()


def test_each_server_of_a_url_has_one_of_its_own() -> None:
    url = "postgresql://relay@one:5432,two,[::1]:5433/events?sslmode=require"
    assert server_urls(url) == (
        "postgresql://relay@one:5432/events?sslmode=require",
        "postgresql://relay@two/events?sslmode=require",
        "postgresql://relay@[::1]:5433/events?sslmode=require",
    )

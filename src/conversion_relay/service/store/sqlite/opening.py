"""From a path to a store that can be trusted, or a refusal that says what to do.

Lock, whole after an unclean end, newest schema, keys at hand, claims of the dead released, times
of a clock that ran ahead pulled back. Parses no URL and reads no setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir
from typing import cast

import apsw

from conversion_relay.errors import ConfigurationError, SealingError, StoreUnavailable
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.sqlite.clock import pull_back
from conversion_relay.service.store.sqlite.connection import (
    open_reading,
    open_writing,
    require_sqlite,
    require_whole,
    transaction,
    unavailable,
)
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.marker import Marker
from conversion_relay.service.store.sqlite.ownership import own
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.replaying import Replaying
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.sqlite.standby import Standby
from conversion_relay.service.store.sqlite.standing import Standing
from conversion_relay.service.store.sqlite.store import Database, SqliteStore
from conversion_relay.service.store.sqlite.writer import Limits, Writer

_PROOF = b"this key sealed here"


async def open_store(
    path: Path, sealer: Sealer, limits: Limits | None = None, now: datetime | None = None
) -> SqliteStore:
    """The store in that file, which is made when missing; the caller closes it.

    Args:
        path: of the database.
        sealer: with every key that sealed something that is still kept.
        limits: of what may wait and go together.
        now: the present; what waits for longer than any rule allows was planned by a clock that
            was set back since, and goes at once. None: nothing is looked for.

    Raises:
        ConfigurationError: there can be no database at this path, another process has it, a newer
            release wrote it, it cannot be made durable, or a key is not at hand.
        StoreUnavailable: it cannot be read or is damaged.
    """
    bounds = limits or Limits()
    database, ingest = await asyncio.to_thread(_open_database, path, sealer, bounds, now)
    loop = asyncio.get_running_loop()
    standing, standby = database.standing, database.standby
    writer = Writer(database.writing, ingest, loop, bounds, standing, standby)
    replaying = Replaying(ingest, sealer)
    return SqliteStore(database, writer, Reader(database.reading, loop), sealer, replaying)


def _open_database(
    path: Path, sealer: Sealer, limits: Limits, now: datetime | None
) -> tuple[Database, Ingest]:
    """Whatever fails on the way lets go of everything taken before."""
    require_sqlite(apsw.sqlitelibversion())
    with ExitStack() as undo:
        ownership = own(path)
        undo.callback(ownership.abandon)
        with _naming(path):
            writing = open_writing(path, limits.database_bytes)
            undo.callback(writing.close)
            if ownership.unclean:
                require_whole(writing)
            migrate(writing, migrations())
            marker = Marker.of(path, ownership.lock, Path(gettempdir()))
            with transaction(writing):
                _require_keys(writing, sealer)
                _set_free(writing, now)
                _suspect(writing, marker)
            marker.clear()
            ingest = Ingest(writing, sealer)
            reading = open_reading(path)
            standing = Standing.take(path)
        undo.pop_all()
    standby = Standby(marker, standing, limits.standby_deliveries)
    return Database(ownership, writing, reading, standing, standby), ingest


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the database's path in front of what went wrong with it."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"{path}: {unavailable(error)}") from error


def _set_free(connection: apsw.Connection, now: datetime | None) -> None:
    """What a dead process had claimed, and what a clock set back would leave waiting."""
    connection.execute(QUERIES["release_claims"])
    if now is not None:
        pull_back(connection, now, most=-1)


def _suspect(connection: apsw.Connection, marker: Marker) -> None:
    """A dead process sent without being able to note what: it may be anything that waits."""
    since = marker.read()
    if since is not None:
        connection.execute(QUERIES["suspect"], {"since": since})


def _require_keys(connection: apsw.Connection, sealer: Sealer) -> None:
    """Every key with which something is sealed opens its proof; the one that seals gets one."""
    found = connection.execute(QUERIES["sealing_keys"]).fetchall()
    for key_id, proof in cast("list[tuple[str, bytes]]", found):
        try:
            sealer.open(proof, binding("proof", key_id))
        except SealingError as error:
            if _is_needed(connection, key_id):
                raise ConfigurationError(
                    f"the database holds data sealed with another key (id {key_id}): give that "
                    "key back, behind the one that is to seal from now on (RELAY_ENCRYPTION_KEY "
                    "or the .key file beside the database); it can be taken away once nothing "
                    "sealed with it is kept any more"
                ) from error
            connection.execute(QUERIES["forget_sealing_key"], {"key_id": key_id})
    proof = sealer.seal(_PROOF, binding("proof", sealer.key_id))
    connection.execute(QUERIES["keep_sealing_key"], (sealer.key_id, proof))


def _is_needed(connection: apsw.Connection, key_id: str) -> bool:
    """Whether anything is sealed with this key; reads all of it, so only when a key is missing."""
    named = {"key_id": bytes.fromhex(key_id)}
    return bool(connection.execute(QUERIES["sealed_with"], named).get)

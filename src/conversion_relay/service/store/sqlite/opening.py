"""From a path to a store that can be trusted, or a refusal that says what to do.

Lock, whole after an unclean end, newest schema, keys at hand, claims of the dead released. Parses
no URL and reads no setting.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import apsw

from conversion_relay.errors import ConfigurationError, SealingError
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.sqlite.connection import (
    open_reading,
    open_writing,
    require_sqlite,
    require_whole,
    transaction,
    unavailable,
)
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.ownership import own
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.sqlite.store import Database, SqliteStore
from conversion_relay.service.store.sqlite.writer import Limits, Writer

_PROOF = b"this key sealed here"


async def open_store(path: Path, sealer: Sealer, limits: Limits | None = None) -> SqliteStore:
    """The store in that file, which is made when missing; the caller closes it.

    Raises:
        ConfigurationError: another process has the file, a newer release wrote it, it cannot be
            made durable, or a key that sealed in it is not at hand.
        StoreUnavailable: it cannot be read or is damaged.
    """
    bounds = limits or Limits()
    database, ingest = await asyncio.to_thread(_open_database, path, sealer, bounds)
    loop = asyncio.get_running_loop()
    writer = Writer(database.writing, ingest, loop, bounds)
    return SqliteStore(database, writer, Reader(database.reading, loop), sealer)


def _open_database(path: Path, sealer: Sealer, limits: Limits) -> tuple[Database, Ingest]:
    """Whatever fails on the way lets go of everything taken before."""
    require_sqlite(apsw.sqlitelibversion())
    with ExitStack() as undo:
        ownership = own(path)
        undo.callback(ownership.abandon)
        try:
            writing = open_writing(path, limits.database_bytes)
            undo.callback(writing.close)
            if ownership.unclean:
                require_whole(writing)
            migrate(writing, migrations())
            with transaction(writing):
                _require_keys(writing, sealer)
                writing.execute(QUERIES["release_claims"])
            ingest = Ingest(writing, sealer)
            reading = open_reading(path)
        except apsw.Error as error:
            raise unavailable(error) from error
        undo.pop_all()
    return Database(ownership, writing, reading), ingest


def _require_keys(connection: apsw.Connection, sealer: Sealer) -> None:
    """Every key that ever sealed here opens its proof; the one that seals now gets one."""
    found = connection.execute(QUERIES["sealing_keys"]).fetchall()
    for key_id, proof in cast("list[tuple[str, bytes]]", found):
        try:
            sealer.open(proof, binding("proof", key_id))
        except SealingError as error:
            raise ConfigurationError(
                f"the database holds data sealed with another key (id {key_id}): "
                "give that key back (RELAY_ENCRYPTION_KEY or the .key file beside the database)"
            ) from error
    proof = sealer.seal(_PROOF, binding("proof", sealer.key_id))
    connection.execute(QUERIES["keep_sealing_key"], (sealer.key_id, proof))

"""From a path to a store that can be trusted, or a refusal that says what to do.

Lock, whole after an unclean end, newest schema, keys at hand, claims of the dead released, times
of a clock that ran ahead pulled back. Parses no URL and reads no setting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Final, cast

import apsw

from conversion_relay.errors import ConfigurationError, SealingError, StoreUnavailable
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.embedded.connection import (
    open_reading,
    open_writing,
    require_sqlite,
    require_whole,
    transaction,
    unavailable,
)
from conversion_relay.service.store.embedded.ownership import own
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.sqlite.clock import pull_back
from conversion_relay.service.store.sqlite.database import Database
from conversion_relay.service.store.sqlite.history import SqliteHistory
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.marker import Marker
from conversion_relay.service.store.sqlite.memory import Memory
from conversion_relay.service.store.sqlite.moved import require_unmoved
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.replaying import Replaying
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.sqlite.standby import Standby
from conversion_relay.service.store.sqlite.store import SqliteStore
from conversion_relay.service.store.sqlite.subjects import open_subjects
from conversion_relay.service.store.sqlite.versions import seal_anew
from conversion_relay.service.store.sqlite.writer import Limits, Writer
from conversion_relay.service.store.times import to_microseconds

_PROOF = b"this key sealed here"
_CHANGED_AT_ONCE: Final = 5_000
"""Deliveries in one transaction: the disk may have little room left for the log."""


async def open_store(
    path: Path,
    sealer: Sealer,
    limits: Limits | None = None,
    now: datetime | None = None,
    commit_seconds: Callable[[float], object] | None = None,
) -> SqliteStore:
    """The store in that file, which is made when missing; the caller closes it.

    Args:
        path: of the database.
        sealer: with every key that sealed something that is still kept.
        limits: of what may wait and go together.
        now: the present; what waits for longer than any rule allows was planned by a clock that
            was set back since, and goes at once. None: nothing is looked for.
        commit_seconds: is told how long each commit took, on another thread than the caller's.

    Raises:
        ConfigurationError: there can be no database at this path, another process has it, a newer
            release wrote it, it moved elsewhere, it cannot be made durable, or a key is not at
            hand.
        StoreUnavailable: it cannot be read or written, or is damaged.
    """
    bounds = limits or Limits()
    opening = asyncio.to_thread(open_database, path, sealer, bounds, now, require_unmoved)
    database, ingest, memory = await opening
    loop = asyncio.get_running_loop()
    standing, standby = database.standing, database.standby
    writer = Writer(database.writing, ingest, loop, bounds, standing, standby)
    if commit_seconds is not None:
        writer.commit_seconds = commit_seconds
    history = SqliteHistory(writer, Reader(database.looking_back, loop), sealer, path)
    reader, replaying = Reader(database.reading, loop), Replaying(ingest, sealer)
    return SqliteStore(database, writer, reader, memory, replaying, history)


def open_database(
    path: Path,
    sealer: Sealer,
    limits: Limits,
    now: datetime | None,
    permit: Callable[[apsw.Connection], object],
) -> tuple[Database, Ingest, Memory]:
    """The file, owned and made fit to work with; whatever fails on the way lets go of it.

    Args:
        path: of the database.
        sealer: with every key.
        limits: of what may wait and go together.
        now: the present, where times that lie ahead are looked for.
        permit: raises ConfigurationError where this database must not be opened.
    """
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
            permit(writing)
            marker = Marker.of(path, ownership.lock, temporary_folder())
            with transaction(writing):
                _require_keys(writing, sealer)
                memory = Memory(*open_subjects(writing, sealer), sealer)
                seal_anew(writing, sealer)
                writing.execute(QUERIES["release_claims"])
            _suspect(writing, marker, now)
            marker.clear()
            _pull_back(writing, now)
            ingest = Ingest(writing, memory)
            reading = open_reading(path)
            undo.callback(reading.close)
            looking_back = open_reading(path)
            standing = Standing.take(path)
        undo.pop_all()
    standby = Standby(marker, standing, limits.standby_deliveries)
    database = Database(ownership, writing, reading, looking_back, standing, standby)
    return database, ingest, memory


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the database's path in front of what went wrong with it."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"{path}: {unavailable(error)}") from error


def temporary_folder(find: Callable[[], str] = gettempdir) -> Path | None:
    """Where programs leave their temporary files; None: nothing can be written there."""
    try:
        return Path(find())
    except FileNotFoundError:
        return None


def _suspect(connection: apsw.Connection, marker: Marker, now: datetime | None) -> None:
    """A dead process sent without being able to note what: it may be anything that waits.

    An end halfway leaves the mark, so that the next start does the rest.
    """
    since = marker.read()
    first, last = connection.execute(QUERIES["delivery_bounds"]).get
    if since is None or first is None:
        return
    if now is not None:
        since = min(since, to_microseconds(now))  # the clock may have been set back
    for begin in range(first, last + 1, _CHANGED_AT_ONCE):
        portion = {"since": since, "first": begin, "last": begin + _CHANGED_AT_ONCE - 1}
        with transaction(connection):
            connection.execute(QUERIES["suspect"], portion)


def _pull_back(connection: apsw.Connection, now: datetime | None) -> None:
    """What a clock set back would leave waiting."""
    if now is None:
        return
    is_done = False
    while not is_done:
        with transaction(connection):
            is_done = pull_back(connection, now, _CHANGED_AT_ONCE)


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

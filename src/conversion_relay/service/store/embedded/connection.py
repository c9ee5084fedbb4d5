"""Opening the database so that a commit lasts, and transactions on it. Knows no table.

One connection writes (the owner's), one reads; both belong to one process, see `ownership`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import apsw

from conversion_relay.errors import ConfigurationError, StoreUnavailable

_OLDEST_SQLITE = (3, 51, 3)  # older ones can corrupt a WAL that is reset (sqlite.org/wal.html)
_FULL = 2  # PRAGMA synchronous; 3 (EXTRA) is stronger
INCREMENTAL = 2  # PRAGMA auto_vacuum: free pages can be cut off the file, some at a time
_BUSY_TIMEOUT = timedelta(seconds=1)
_PATIENCE_WITH_READERS = timedelta(milliseconds=50)
_PAGE_BYTES = 8_192  # five deliveries fit one page; two fit one of 4,096
_CHECKPOINT_PAGES = 2_000
_KEPT_WAL_BYTES = 64 * 1024 * 1024
_CACHE_KIBIBYTES = 32 * 1024
_CACHED_STATEMENTS = 1_000  # an INSERT is a statement of its own for every number of rows
_DAMAGED = (
    "the database is damaged; stop the service, move the file with its -wal and -shm aside, then "
    "restore a backup, or save what can be read with `sqlite3 FILE .recover`"
)
_ADVICE: Mapping[type[Exception], str] = {
    apsw.FullError: "no space is left for the database",
    apsw.IOError: "the disk fails",
    apsw.ReadOnlyError: "the disk can only be read",
    apsw.BusyError: "another program holds the database, or it is not on a local disk",
    apsw.CorruptError: _DAMAGED,
    apsw.NotADBError: _DAMAGED,
}


def require_sqlite(version: str) -> None:
    """Refuse a SQLite whose WAL is not safe.

    Raises:
        ConfigurationError: it is too old.
    """
    if tuple(int(part) for part in version.split(".")) < _OLDEST_SQLITE:
        oldest = ".".join(str(part) for part in _OLDEST_SQLITE)
        raise ConfigurationError(
            f"SQLite {version} can corrupt its log: install apsw {oldest} or newer"
        )


def open_writing(path: Path, database_bytes: int | None) -> apsw.Connection:
    """The connection that writes: WAL, synchronous=FULL, foreign keys.

    Raises:
        ConfigurationError: the database cannot be made durable.
        apsw.Error: it cannot be opened.
    """
    connection = apsw.Connection(str(path), statementcachesize=_CACHED_STATEMENTS)
    try:
        connection.set_busy_timeout(_milliseconds(_BUSY_TIMEOUT))
        connection.pragma("page_size", _PAGE_BYTES)
        connection.pragma("auto_vacuum", INCREMENTAL)  # of a new file; an old one stays as it is
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", _FULL)
        connection.pragma("foreign_keys", 1)
        connection.pragma("secure_delete", 1)  # what is erased is overwritten
        connection.pragma("trusted_schema", 0)
        connection.pragma("temp_store", "memory")
        connection.pragma("cache_size", -_CACHE_KIBIBYTES)
        connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        connection.pragma("journal_size_limit", _KEPT_WAL_BYTES)
        if database_bytes is not None:
            page_bytes: int = connection.pragma("page_size")
            connection.pragma("max_page_count", max(1, database_bytes // page_bytes))
        require_durable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reading(path: Path) -> apsw.Connection:
    """The connection that only reads; it never keeps a transaction open.

    Raises:
        apsw.Error: it cannot be opened.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_milliseconds(_BUSY_TIMEOUT))
    connection.pragma("temp_store", "memory")
    return connection


def require_durable(connection: apsw.Connection) -> None:
    """Refuse a database whose commits could be lost.

    Raises:
        ConfigurationError: it is not in WAL mode, or synchronous is weaker than FULL.
    """
    journal_mode: str = connection.pragma("journal_mode")
    synchronous: int = connection.pragma("synchronous")
    if journal_mode != "wal":
        raise ConfigurationError(
            f"the database uses journal_mode={journal_mode} and cannot be switched to wal: "
            "put it on a local disk"
        )
    if synchronous < _FULL:
        raise ConfigurationError(
            f"the database runs with synchronous={synchronous}: a power loss would take committed "
            "events with it; FULL is needed"
        )


def require_whole(connection: apsw.Connection) -> None:
    """Look through the database after an unclean end.

    Raises:
        apsw.CorruptError: it is damaged.
    """
    if connection.pragma("quick_check", 1) != "ok":
        raise apsw.CorruptError("quick_check")


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Everything inside is committed together, or rolled back."""
    if connection.in_transaction:  # an earlier ROLLBACK failed with its disk
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """Everything inside reads one moment of what is committed; nothing is written."""
    if connection.in_transaction:  # an earlier ROLLBACK failed with its disk
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def take_in_log(connection: apsw.Connection) -> bool:
    """Whether the whole log went into the database and is empty; not where somebody reads it."""
    connection.set_busy_timeout(_milliseconds(_PATIENCE_WITH_READERS))
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(_milliseconds(_BUSY_TIMEOUT))
    return True


def write_something(connection: apsw.Connection) -> None:
    """Change nothing, in a way that a commit has to bring to the disk (an UPDATE need not)."""
    version: int = connection.pragma("user_version")
    connection.pragma("user_version", version)


def unavailable(error: Exception) -> StoreUnavailable:
    """What the caller is told: the kind of error, never a piece of the data."""
    if isinstance(error, StoreUnavailable):
        return error
    kind = type(error).__name__
    if not isinstance(error, apsw.Error):
        return StoreUnavailable(f"the store met a fault of its own ({kind})")
    code = getattr(error, "extendedresult", 0)
    answer = f"SQLite answered {kind.removesuffix('Error')} (code {code})"
    advice = _ADVICE.get(type(error))
    return StoreUnavailable(f"{answer}: {advice}" if advice else answer)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)

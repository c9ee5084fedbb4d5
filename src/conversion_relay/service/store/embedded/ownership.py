"""One process owns a database file: locks on it and on a file beside it. Knows no SQLite.

The lock file holds the owner's process id while it works and is emptied by a clean end, so that an
id left in it tells of an unclean one; a second field of it is for a mark. It is never removed:
the lock on the database itself keeps a second owner out even so, but could not name the first.
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from conversion_relay.errors import DatabaseInUse
from conversion_relay.service.place import (
    beside,
    flush_folder,
    has_content,
    log_of,
    private_folder,
    require_place,
    unusable,
)

FIELD_BYTES = 32
OWNER_AT, MARK_AT = 0, FIELD_BYTES
BLANK = b"\n".rjust(FIELD_BYTES)
_LOCKS_ARE_APART = sys.platform == "linux"  # elsewhere flock would lock SQLite out as well


def field(number: int) -> bytes:
    """A number as it stands in a field of the lock file."""
    return f"{number}\n".encode().rjust(FIELD_BYTES)


@dataclass(frozen=True, slots=True)
class Ownership:
    """The locks, held.

    Attributes:
        lock: descriptor of the lock file; closing it lets go.
        database: descriptor of the database. To be closed after SQLite's connections: closing any
            descriptor of a file drops the process's POSIX locks on it, which are SQLite's.
        unclean: the owner before did not end cleanly, so the database wants a look.
    """

    lock: int
    database: int
    unclean: bool

    def release(self) -> None:
        """Let go after a clean end; with a mark in the lock file it was none."""
        if not os.pread(self.lock, FIELD_BYTES, MARK_AT).strip():
            os.ftruncate(self.lock, 0)
        self.abandon()

    def abandon(self) -> None:
        """Let go without vouching for the database."""
        os.close(self.database)
        os.close(self.lock)


def own(database: Path) -> Ownership:
    """Take the database; its folder and an empty file are made when missing.

    Raises:
        DatabaseInUse: another process has it.
        ConfigurationError: there can be no database at this path.
        StoreUnavailable: the disk is full, fails or can only be read.
    """
    require_place(database)
    with ExitStack() as undo:
        try:
            private_folder(database.parent)
            lock = os.open(beside(database, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            undo.callback(os.close, lock)
            _lock(lock, database, _owner(lock))
            file = _open_private(database)
            undo.callback(os.close, file)
            if _LOCKS_ARE_APART:
                _lock(file, database, "")
            unclean = bool(_owner(lock)) or has_content(log_of(database))
            _sign(lock)
        except OSError as error:
            raise unusable(f"the database {database}", error) from error
        undo.pop_all()
    return Ownership(lock, file, unclean)


def require_free(database: Path) -> None:
    """Refuse a database that another process has, before a key of it is asked for; takes nothing.

    Raises:
        DatabaseInUse: another process has it.
    """
    try:
        lock = os.open(beside(database, ".lock"), os.O_RDWR)
    except OSError:  # nobody has it yet, or `own` says what is wrong
        return
    try:
        _lock(lock, database, _owner(lock))
    finally:
        os.close(lock)


def _lock(descriptor: int, database: Path, owner: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DatabaseInUse(
            f"process {owner or '(unknown)'} already uses the database {database}: "
            "stop it, or give this one a database of its own"
        ) from error


def _sign(lock: int) -> None:
    """In place, so that a mark left by the owner before stays until it was heeded."""
    os.pwrite(lock, field(os.getpid()), OWNER_AT)
    if os.fstat(lock).st_size < MARK_AT + FIELD_BYTES:
        os.pwrite(lock, BLANK, MARK_AT)
    os.fsync(lock)


def _owner(lock: int) -> str:
    return os.pread(lock, FIELD_BYTES, OWNER_AT).decode("ascii", "replace").strip()


def _open_private(database: Path) -> int:
    is_new = not database.exists()
    descriptor = os.open(database, os.O_RDWR | os.O_CREAT, 0o600)
    if is_new:
        flush_folder(database.parent)
    return descriptor

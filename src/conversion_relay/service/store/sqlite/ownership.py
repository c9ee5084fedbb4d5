"""One process owns a database file: a lock beside it. Knows no SQLite.

The lock file holds the owner's process id while it works and is emptied by a clean end, so that an
id left in it tells of an unclean one. It is never removed: removing it could let in two owners.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.sealing import flush_folder, private_folder

_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Ownership:
    """The lock, held.

    Attributes:
        descriptor: of the lock file; closing it lets go.
        unclean: the owner before did not end cleanly, so the database wants a look.
    """

    descriptor: int
    unclean: bool

    def release(self) -> None:
        """Let go after a clean end."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)

    def abandon(self) -> None:
        """Let go without vouching for the database."""
        os.close(self.descriptor)


def own(database: Path) -> Ownership:
    """Take the database; its folder and an empty file are made when missing.

    Raises:
        ConfigurationError: another process has it, or the folder cannot be used.
    """
    try:
        private_folder(database.parent)
        lock = _beside(database, ".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(database, error) from error
    try:
        _lock(descriptor, database)
        unclean = bool(_owner(descriptor)) or _has_content(_beside(database, "-wal"))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _create_private(database)
    except OSError as error:
        os.close(descriptor)
        raise _unusable(database, error) from error
    except ConfigurationError:
        os.close(descriptor)
        raise
    return Ownership(descriptor, unclean)


def _lock(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigurationError(
            f"process {_owner(descriptor) or '(unknown)'} already uses the database {database}: "
            "stop it, or give this one a database of its own"
        ) from error


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, _ID_BYTES, 0).decode("ascii", "replace").strip()


def _create_private(database: Path) -> None:
    if not database.exists():
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        flush_folder(database.parent)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _unusable(database: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the database {database} cannot be used: {error.strerror}")

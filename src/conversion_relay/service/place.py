"""Where a database stands, and the files beside it. Of SQLite it knows how those are called."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from conversion_relay.errors import ConfigurationError, StoreUnavailable

_OF_THE_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def require_place(database: Path) -> None:
    """Refuse a path at which no database can be, or which lost its database. Makes nothing.

    Raises:
        ConfigurationError: no file that this user can read and write, in a folder where it can
            make others, or the log of a database without the database.
        StoreUnavailable: the disk fails or can only be read.
    """
    what = f"the database {database}"
    try:
        problem = _problem(database) or _missing(database)
    except OSError as error:
        raise unusable(what, error) from error
    if problem is not None:
        raise ConfigurationError(f"{what} cannot be used: {problem}")


def unusable(what: str, error: OSError) -> ConfigurationError | StoreUnavailable:
    """The refusal; a disk that is full or fails may be mended by the next start."""
    refusal = StoreUnavailable if error.errno in _OF_THE_DISK else ConfigurationError
    return refusal(f"{what} cannot be used: {error.strerror}")


def holds_data(database: Path) -> bool:
    """Something was kept here before."""
    return has_content(database) or has_content(log_of(database))


def has_content(path: Path) -> bool:
    """A file that is not empty stands there."""
    return path.exists() and path.stat().st_size > 0


def beside(database: Path, ending: str) -> Path:
    """The file that belongs to the database by its name."""
    return database.with_name(database.name + ending)


def log_of(database: Path) -> Path:
    """SQLite's write-ahead log; it stands beside the file itself, not beside a link to it."""
    return beside(Path(os.path.realpath(database)), "-wal")


def private_folder(path: Path) -> None:
    """Create the folder and those above it that are missing, for this user alone."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def flush_folder(path: Path) -> None:
    """Make the names in the folder last through a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(database: Path) -> str | None:
    parent = database.absolute().parent
    folder = next(one for one in (parent, *parent.parents) if one.exists())
    if not folder.is_dir():
        return f"{folder} is no folder"
    if database.exists() and not database.is_file():
        return "this is a folder or a device; give the path of a file"
    if not os.access(folder, os.W_OK | os.X_OK):
        _require_writable_disk(folder)
        return f"this user may not write in the folder {folder}"
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        _require_writable_disk(database)
        return "this user may not read and write the file"
    return None


def _require_writable_disk(place: Path) -> None:
    """What nobody can write is not a matter of rights."""
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def _missing(database: Path) -> str | None:
    """SQLite would throw away a log whose database is missing or empty."""
    log = log_of(database)
    if has_content(database) or not has_content(log):
        return None
    return (
        f"its log {log} is here, but the database itself is missing or empty: put the database "
        "back beside its log (both from one backup), or move the log away to start afresh; "
        "nothing was changed"
    )

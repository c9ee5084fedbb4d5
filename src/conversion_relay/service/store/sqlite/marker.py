"""A mark that outlives the process: what is kept may have been sent without a note.

It has to be made while the database cannot be written. So it stands in a field of the lock file
that is there already and is overwritten in place, which a full disk lets happen; where even that
fails, in a file of the system's temporary folder. A mark too many only parks what could have been
sent again, one too few counts conversions twice: it is made before anything is sent, and taken
away after everything was written down. Knows no SQLite.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from conversion_relay.service.store.embedded.ownership import BLANK, FIELD_BYTES, MARK_AT, field

_FILE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Marker:
    """The mark of one database.

    Attributes:
        lock: descriptor of its lock file.
        file: stands in where that cannot be written; None: there is no second place.
    """

    lock: int
    file: Path | None

    @staticmethod
    def of(database: Path, lock: int, folder: Path | None) -> Marker:
        """The mark of this database, with its second place in that folder, if there is one.

        Raises:
            OSError: there is no database.
        """
        if folder is None:
            return Marker(lock, None)
        place = os.path.realpath(database)
        name = hashlib.sha256(f"{place}\n{database.stat().st_ino}".encode()).hexdigest()
        return Marker(lock, folder / f"conversion-relay-{name[:32]}")

    def read(self) -> int | None:
        """The number of the mark, the smaller one if both places have one; None: no mark.

        One that was not made whole is none: nothing was sent after it.
        """
        found = {_number(os.pread(self.lock, FIELD_BYTES, MARK_AT)), _number(_content(self.file))}
        return min((number for number in found if number is not None), default=None)

    def put(self, number: int) -> None:
        """Make the mark; it is on a disk when this returns.

        Raises:
            OSError: in neither place.
        """
        try:
            self._write(number)
        except OSError:
            if self.file is None:
                raise
            _write_file(self.file, number)

    def clear(self) -> None:
        """Take the mark away.

        Raises:
            OSError: it is still there.
        """
        if os.pread(self.lock, FIELD_BYTES, MARK_AT).strip():
            os.pwrite(self.lock, BLANK, MARK_AT)
            os.fsync(self.lock)
        if self.file is not None and _content(self.file):
            self.file.unlink()

    def _write(self, number: int) -> None:
        os.pwrite(self.lock, field(number), MARK_AT)
        os.fsync(self.lock)


def _write_file(file: Path, number: int) -> None:
    """A file of somebody else under this name is not written into."""
    with suppress(FileNotFoundError):
        file.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE_FLAGS
    descriptor = os.open(file, flags, 0o600)
    try:
        os.write(descriptor, field(number))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _content(file: Path | None) -> bytes:
    """Its content, if it is ours: anybody may write in that folder."""
    if file is None:
        return b""
    try:
        descriptor = os.open(file, os.O_RDONLY | _FILE_FLAGS)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        return os.read(descriptor, FIELD_BYTES) if ours else b""
    finally:
        os.close(descriptor)


def _number(content: bytes) -> int | None:
    digits = content.strip()
    is_whole = len(content) == FIELD_BYTES and digits.isdigit()
    return int(digits) if is_whole else None

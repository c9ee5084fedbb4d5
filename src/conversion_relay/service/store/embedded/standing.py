"""Whether the files of an open database still stand where it was opened. Knows no SQLite.

A file that was removed or replaced can be written as long as it is open; what is written then is
gone with the process, and nothing else would tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.place import beside, log_of


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The database, its log and its lock file, as they were found by `take`."""

    files: tuple[_File, ...]

    @staticmethod
    def take(database: Path) -> Standing:
        """How they stand now, while the database is open.

        Raises:
            OSError: one is missing.
        """
        paths = (database, log_of(database), beside(database, ".lock"))
        return Standing(tuple(_File(path, *_identity(path)) for path in paths))

    def require(self) -> None:
        """Refuse to go on with files that nobody will find again.

        Raises:
            StoreUnavailable: one was removed or replaced.
        """
        for file in self.files:
            try:
                same = _identity(file.path) == (file.device, file.inode)
            except OSError:
                same = False
            if not same:
                raise StoreUnavailable(
                    f"the database file {file.path} was replaced or removed while the service "
                    "runs; stop it, put back what belongs there, and start it again"
                )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino

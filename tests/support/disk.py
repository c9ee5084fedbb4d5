"""A disk that fails when told: a layer under SQLite through which the files of a database go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import apsw
from typing_extensions import override

FULL: Final = apsw.FullError("injected: no space left")
BROKEN: Final = apsw.IOError("injected: input/output error")
READ_ONLY: Final = apsw.ReadOnlyError("injected: read-only file system")
_NUMBERS = count(1)


class Disk(apsw.VFS):
    """Fails every write and sync of the files in its folder while `fault` is set.

    Attributes:
        fault: what SQLite is told, or None.
        refused: how many writes and syncs have failed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.fault: apsw.Error | None = None
        self.refused = 0
        self.base = apsw.vfs_names()[0]
        super().__init__(f"failing-disk-{next(_NUMBERS)}", self.base, makedefault=True)

    @override
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def touch(self, path: str) -> None:
        """Before anything in this file is changed."""
        if self.fault is not None and path.startswith(self.folder):
            self.refused += 1
            raise type(self.fault)(*self.fault.args)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__(disk.base, name, flags)

    @override
    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.touch(self._path)
        super().xWrite(data, offset)

    @override
    def xSync(self, flags: int) -> None:
        self._disk.touch(self._path)
        super().xSync(flags)

    @override
    def xTruncate(self, newsize: int) -> None:
        self._disk.touch(self._path)
        super().xTruncate(newsize)


@contextmanager
def failing_disk(folder: Path) -> Iterator[Disk]:
    """What is opened inside goes through it, and has to be closed inside."""
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.unregister()

"""A disk that keeps what was synced, and of the rest whatever chance lets through.

A layer under SQLite. Every write also waits to be copied to a second folder, the platter; a sync
copies what waits. Some writes get there earlier, in part and out of order, as on a real disk.
After a kill the platter is what a power loss would have left.

Run as a program, this file is the service on such a disk: FOLDER PLATTER SEED.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

import apsw
from typing_extensions import override

_SECTOR_BYTES: Final = 512
_EARLY: Final = 0.2
_Write = tuple[int, bytes | None]  # where and what; without bytes: the new size


class LossyDisk(apsw.VFS):
    """The layer, as SQLite's default.

    Args:
        folder: whose files are written twice.
        platter: the second folder.
        seed: of the chance that lets a write through early.
    """

    def __init__(self, folder: Path, platter: Path, seed: int) -> None:
        self.folder, self._platter = folder, platter
        self._draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._waiting: defaultdict[str, list[_Write]] = defaultdict(list)
        self._lock = threading.Lock()
        self.base = apsw.vfs_names()[0]
        super().__init__("lossy-disk", self.base, makedefault=True)

    @override
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or Path(path).parent != self.folder:
            return apsw.VFSFile(self.base, name, flags)
        return _File(self, Path(path).name, name, flags)

    @override
    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        if Path(filename).parent == self.folder:
            with self._lock:
                self._waiting.pop(Path(filename).name, None)
                (self._platter / Path(filename).name).unlink(missing_ok=True)

    def write(self, name: str, write: _Write) -> None:
        """Waits for the next sync, unless chance has some of it on the platter now."""
        with self._lock:
            self._waiting[name].append(write)
            where, data = write
            if data is not None and self._draw.random() < _EARLY:
                sectors = self._draw.randint(0, len(data) // _SECTOR_BYTES)
                self._put(name, [(where, data[: sectors * _SECTOR_BYTES])])

    def sync(self, name: str) -> None:
        """What waits is on the platter when this returns."""
        with self._lock:
            self._put(name, self._waiting.pop(name, []))

    def _put(self, name: str, writes: list[_Write]) -> None:
        descriptor = os.open(self._platter / name, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for where, data in writes:
                if data is None:
                    os.ftruncate(descriptor, where)
                else:
                    os.pwrite(descriptor, data, where)
        finally:
            os.close(descriptor)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: LossyDisk, name: str, given: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk, self._name = disk, name
        super().__init__(disk.base, given, flags)

    @override
    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.write(self._name, (offset, bytes(data)))

    @override
    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.write(self._name, (newsize, None))

    @override
    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._name)


def _serve(folder: Path, platter: Path, seed: int) -> None:
    from conversion_relay.cli import main  # noqa: PLC0415 - after the disk is in its place

    disk = LossyDisk(folder, platter, seed)
    sys.argv = ["conversion-relay", "serve"]
    main()
    disk.unregister()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

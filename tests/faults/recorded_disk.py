"""The order of writing, syncing and answering: by messageId, as the calls come.

`recorded_disk` is a layer under SQLite that tells of every write to its log and of every sync.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
from typing_extensions import override

LOG: Final = "-wal"
_NAME: Final = re.compile(rb"m-\d{7}")


def names_in(data: bytes) -> set[str]:
    """The messageIds of the shop's events that stand in there."""
    return {name.decode() for name in _NAME.findall(data)}


@dataclass(slots=True)
class Order:
    """Which messageIds were written to the log, synced, and answered.

    Attributes:
        answered: those whose 200 went out.
        early: those among them whose bytes were not synced then.
    """

    written: set[str] = field(default_factory=set)
    synced: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)

    def answer(self, names: set[str]) -> None:
        """A 200 for these goes out."""
        self.answered |= names
        self.early |= names - self.synced

    def __str__(self) -> str:
        share = 1 - len(self.early) / max(1, len(self.answered))
        return f"{len(self.answered):,} events answered 200, {share:.0%} after their fsync"


class _Disk(apsw.VFS):
    def __init__(self, folder: Path, order: Order) -> None:
        self.folder, self.order = str(folder), order
        self.base = apsw.vfs_names()[0]
        super().__init__("recorded-disk", self.base, makedefault=True)

    @override
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not (path.startswith(self.folder) and path.endswith(LOG)):
            return apsw.VFSFile(self.base, name, flags)
        return _Log(self, name, flags)


class _Log(apsw.VFSFile):
    def __init__(self, disk: _Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._order = disk.order
        super().__init__(disk.base, name, flags)

    @override
    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._order.written |= names_in(bytes(data))

    @override
    def xSync(self, flags: int) -> None:
        covered = set(self._order.written)
        super().xSync(flags)
        self._order.synced |= covered


@contextmanager
def recorded_disk(folder: Path) -> Iterator[Order]:
    """What is opened inside, in this folder, goes through it, and has to be closed inside."""
    order = Order()
    disk = _Disk(folder, order)
    try:
        yield order
    finally:
        disk.unregister()

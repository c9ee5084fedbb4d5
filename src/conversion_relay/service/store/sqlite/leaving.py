"""The embedded store as one end of a move: gives all that is kept, a page at a time.

Opened as for service, so that the schema is the newest, claims of the dead are released, and no
other process has it; but nothing runs over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.moving import MoveMark, Row
from conversion_relay.service.store.sqlite.database import Database
from conversion_relay.service.store.sqlite.memory import Memory
from conversion_relay.service.store.sqlite.moved import MOVING, mark_of, set_mark
from conversion_relay.service.store.sqlite.opening import open_database
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.writer import Limits


class Leaving:
    """Implements the port `Origin`; made by `open_origin`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory

    @property
    def sealer(self) -> Sealer:
        """Opens what is kept there."""
        return self._memory.sealer

    @property
    def subject_key(self) -> bytes:
        """The key of the hashes of persons' ids."""
        return self._memory.subjects.key

    @property
    def last_numbers(self) -> tuple[int, int]:
        """The highest ids of an event and of a delivery that ever were."""
        found = self._database.reading.execute(QUERIES["last_ids"]).get
        return cast("tuple[int, int]", found)

    def mark(self) -> MoveMark | None:
        """What it says of its move; None: it does not move."""
        return mark_of(self._database.writing)

    def set_mark(self, mark: MoveMark | None) -> None:
        """Say something else of it; it is on the disk when this returns."""
        set_mark(self._database.writing, mark)

    def counts(self) -> Mapping[str, int]:
        """How much there is, by kind."""
        return self._counted("counts")

    def sizes(self) -> Mapping[str, int]:
        """How many rows the large parts have."""
        return self._counted("sizes")

    def page(self, part: str, after: Row, limit: int) -> Sequence[Row]:
        """The next rows of a part, in the order of their keys, which stand first in each."""
        rows = self._database.reading.execute(MOVING[f"part_{part}"], (*after, limit))
        return cast("list[Row]", rows.fetchall())

    def close(self) -> None:
        """Let go of the file."""
        self._database.reading.close()
        self._database.looking_back.close()
        self._database.close()

    def _counted(self, query: str) -> Mapping[str, int]:
        rows = self._database.reading.execute(MOVING[query]).fetchall()
        return dict(cast("list[tuple[str, int]]", rows))


def open_origin(path: Path, sealer: Sealer, now: datetime) -> Leaving:
    """The database in that file, for moving it elsewhere; the caller closes it.

    Raises:
        ConfigurationError: another process has it, a newer release wrote it, or a key is not at
            hand.
        StoreUnavailable: it cannot be read or written, or is damaged.
    """
    database, _, memory = open_database(path, sealer, Limits(), now, lambda _: None)
    return Leaving(database, memory)

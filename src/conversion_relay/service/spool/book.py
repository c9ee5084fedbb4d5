"""The spool's own file: records of events, sealed, in the order in which they came.

Knows no thread and no database but this file. One process owns it, by the same locks and with the
same care for the disk as the embedded store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, cast

import apsw
import orjson

from conversion_relay.errors import ConfigurationError, StoreError, StoreUnavailable
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.spool.record import packed, unpacked
from conversion_relay.service.store.embedded.connection import (
    open_writing,
    require_sqlite,
    require_whole,
    take_in_log,
    transaction,
    unavailable,
)
from conversion_relay.service.store.embedded.migrating import migrate
from conversion_relay.service.store.embedded.ownership import Ownership, own
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.port import NewEvent
from conversion_relay.service.store.sql_files import read_migrations, read_queries
from conversion_relay.service.store.times import to_microseconds

_QUERIES = read_queries(__package__, ["spool.sql"])
_RECORD_EVENTS: Final = 200
_RECORD_BYTES: Final = 1024 * 1024
_TURN_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """Some events that wait.

    Attributes:
        size: bytes of its sealed value.
    """

    id: int
    events: tuple[NewEvent, ...] = field(repr=False)
    size: int


@dataclass(slots=True)
class Sums:
    """What is in the file.

    Attributes:
        events: all of them, those set aside included.
        size: bytes of the sealed values.
        aside: events in records that cannot be opened.
        oldest: microseconds; when the oldest event was received.
    """

    events: int
    size: int
    aside: int
    oldest: int | None


class Book:
    """The open file. Made by `open_book`, used by one thread at a time."""

    def __init__(
        self,
        ownership: Ownership,
        connection: apsw.Connection,
        standing: Standing,
        sealer: Sealer,
    ) -> None:
        self._ownership = ownership
        self._connection = connection
        self._standing = standing
        self._sealer = sealer
        self._last: int = connection.execute(_QUERIES["last_id"]).get
        events, size = connection.execute(_QUERIES["totals"]).get
        self.sums = Sums(events, size, aside=0, oldest=None)
        self._look()

    def keep(self, appends: Sequence[Sequence[NewEvent]]) -> None:
        """Keep these events; they are on the disk when this returns.

        Raises:
            StoreUnavailable: nothing was kept.
        """
        groups = list(_groups(list(chain.from_iterable(appends))))
        first = self._last + 1
        self._last += len(groups)
        rows = [self._row(*pair) for pair in enumerate(groups, first)]
        with _named():
            with transaction(self._connection):
                for row in rows:
                    self._connection.execute(_QUERIES["keep"], row)
                self._standing.require()
            self.sums.events += sum(row[1] for row in rows)
            self.sums.size += sum(len(row[3]) for row in rows)
            self._look()

    def next(self, most: int) -> tuple[tuple[Record, ...], int]:
        """The records whose turn it is, of so many events at most, but one in any case.

        Gives also of how many events the record was set aside just now: it cannot be opened.
        """
        found: list[Record] = []
        closed: list[int] = []
        before = self.sums.aside
        with _named():
            for number, sealed in self._in_turn(most):
                try:
                    events = unpacked(self._sealer.open(sealed, _context(number)))
                except StoreError:
                    closed.append(number)
                else:
                    found.append(Record(number, events, len(sealed)))
            if closed:
                self._change("set_aside", closed)
        return tuple(found), self.sums.aside - before

    def put_behind(self, records: Sequence[Record]) -> None:
        """Let all others go before these."""
        with _named():
            self._change("put_behind", [record.id for record in records])

    def remove(self, records: Sequence[Record]) -> None:
        """These are where they belong. Of an empty file the room is given back."""
        with _named():
            self._change("remove", [record.id for record in records])
            self.sums.events -= sum(len(record.events) for record in records)
            self.sums.size -= sum(record.size for record in records)
            if not self.sums.events:
                self._connection.execute("PRAGMA incremental_vacuum").fetchall()
                take_in_log(self._connection)

    def close(self) -> None:
        """Let go of the file."""
        try:
            self._standing.require()
            take_in_log(self._connection)
            self._connection.close()
        except (apsw.Error, StoreError) as error:
            self._ownership.abandon()
            raise unavailable(error) from error
        self._ownership.release()

    def _row(self, number: int, events: Sequence[NewEvent]) -> tuple[int, int, int, bytes]:
        oldest = min(to_microseconds(event.received_at) for event in events)
        sealed = self._sealer.seal(packed(events), _context(number))
        return number, len(events), oldest, sealed

    def _in_turn(self, most: int) -> Iterator[tuple[int, bytes]]:
        events = size = 0
        rows = self._connection.execute(_QUERIES["next"], {"limit": most})
        for number, count, sealed in cast("Iterator[tuple[int, int, bytes]]", rows):
            events, size = events + count, size + len(sealed)
            if events > count and (events > most or size > _TURN_BYTES):
                break
            yield number, sealed
        rows.close()

    def _change(self, query: str, records: Sequence[int]) -> None:
        with transaction(self._connection):
            given = {"records": orjson.dumps(list(records)).decode()}
            self._connection.execute(_QUERIES[query], given)
            self._standing.require()
        self._look()

    def _look(self) -> None:
        self.sums.aside = self._connection.execute(_QUERIES["aside"]).get
        self.sums.oldest = self._connection.execute(_QUERIES["oldest"]).get


def open_book(path: Path, sealer: Sealer) -> Book:
    """The spool in that file, which is made when missing.

    What was set aside gets another chance: a key that was not at hand may be.

    Raises:
        ConfigurationError: there can be no file at this path, another process has it, or a newer
            release wrote it.
        StoreUnavailable: it cannot be read or written, or is damaged.
    """
    require_sqlite(apsw.sqlitelibversion())
    with ExitStack() as undo, _named(f"the spool {path}: "):
        ownership = own(path)
        undo.callback(ownership.abandon)
        connection = open_writing(path, None)
        undo.callback(connection.close)
        if ownership.unclean:
            require_whole(connection)
        migrate(connection, read_migrations(__package__))
        with transaction(connection):
            connection.execute(_QUERIES["try_all_again"])
        book = Book(ownership, connection, Standing.take(path), sealer)
        undo.pop_all()
    return book


def size_of(events: Iterable[NewEvent]) -> int:
    """How many bytes they have before they are compressed."""
    return sum(
        len(event.original) + sum(len(one.body) for one in event.deliveries) for event in events
    )


def _groups(events: Sequence[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    """Runs of events within the bounds of a record."""
    start = size = 0
    for position, event in enumerate(events):
        more = size_of([event])
        full = position - start >= _RECORD_EVENTS or size + more > _RECORD_BYTES
        if full and position > start:
            yield events[start:position]
            start, size = position, 0
        size += more
    if start < len(events):
        yield events[start:]


@contextmanager
def _named(place: str = "the spool: ") -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise type(error)(f"{place}{error}") from error
    except (apsw.Error, OSError, StoreUnavailable) as error:
        raise StoreUnavailable(f"{place}{unavailable(error)}") from error


def _context(number: int) -> bytes:
    return binding("spooled", number)

"""Delivery while the disk cannot be written: a book in memory of claims and of their ends.

Claims are chosen by reading alone, and nothing in the book is given out again before the book is
written down, which comes before anything else as soon as something can be written. A mark that
outlives the process is made before the first claim, see `marker`: what was sent while nothing
could be written is known to nobody after a crash.

Used by the thread of the writer, and read from others by `kept_back` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import apsw
import orjson

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.embedded.connection import snapshot, transaction
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.sqlite.claims import (
    NONE_KEPT_BACK,
    Claims,
    Wish,
    as_claimed,
    rows_of,
    settle,
)
from conversion_relay.service.store.sqlite.groups import Work
from conversion_relay.service.store.sqlite.marker import Marker
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.requests import KeptRequest, next_request
from conversion_relay.service.store.times import to_microseconds

_OF_THE_DISK = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)
_Claim = tuple[int, int]  # id, fence
_LeaseRow = list[int | None]  # see the query `keep_leases`
_WRITTEN_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class _Ends:
    """How some claims ended: the rows of `settle`, how many, when, and in which request."""

    rows: str
    size: int
    now: datetime
    request: KeptRequest | None


def is_of_the_disk(error: Exception) -> bool:
    """Whether the disk is full, failing or read-only; all else leaves nothing to rely on."""
    return isinstance(error, _OF_THE_DISK)


class Standby:
    """The book of one database; empty while the disk works."""

    def __init__(self, marker: Marker, standing: Standing, most: int) -> None:
        self._marker = marker
        self._standing = standing
        self._most = most
        self._marked = False
        self._leases: dict[int, _LeaseRow] = {}
        self._ends: list[_Ends] = []
        self._ended: set[_Claim] = set()
        self._first_request: int | None = None
        self._put_off: dict[str, Work[object]] = {}
        self._kept_back = NONE_KEPT_BACK

    @property
    def kept_back(self) -> str:
        """The deliveries that are not to be given out, a JSON array of ids."""
        return self._kept_back

    def claim(
        self, connection: apsw.Connection, wish: Wish, lease: timedelta, now: datetime
    ) -> Claims | None:
        """Lease what is wished for, in the book; None when there is nothing.

        Raises:
            StoreUnavailable: the book is full, the mark cannot be made, or the files were removed
                or replaced.
            apsw.Error: the database cannot be read either.
        """
        self._standing.require()
        if len(self._ids()) >= self._most:
            raise StoreUnavailable("too much was sent since something could be written last")
        with snapshot(connection):
            chosen = wish.choose(connection, self._kept_back, now)
            if chosen is None:
                return None
            found = as_claimed(connection, chosen)
        self._mark(now)
        at, until = to_microseconds(now), to_microseconds(now + lease)
        for row in rows_of(found):
            unknown_at = row.first_unknown_at
            self._leases[row.id] = [row.id, row.fence, row.attempts, at, until, unknown_at]
        self._keep_back()
        return found

    def settle(
        self, connection: apsw.Connection, rows: str, now: datetime, request: KeptRequest | None
    ) -> int:
        """Keep the ends of claims, be they in the book or in the database; gives how many.

        Raises:
            StoreUnavailable: the files were removed or replaced.
        """
        self._standing.require()
        asked = {(row[0], row[1]): row for row in orjson.loads(rows)}
        try:
            with snapshot(connection):
                found: str = connection.execute(QUERIES["claimed"], {"settlements": rows}).get
        except _OF_THE_DISK:
            durable = set(asked)  # the database will say later
        else:
            durable = {(number, fence) for number, fence in orjson.loads(found)}
        ours = {claim: row for claim, row in asked.items() if self._is_ours(claim, durable)}
        given = orjson.dumps(list(ours.values())).decode()
        self._ends.append(_Ends(given, len(ours), now, request))
        self._ended.update(ours)
        self._keep_back()
        return len(ours)

    def put_off(self, key: str, work: Work[object]) -> None:
        """Keep work for later, in place of what was kept under this key.

        Raises:
            StoreUnavailable: the files were removed or replaced.
        """
        self._standing.require()
        self._put_off[key] = work

    def write(self, connection: apsw.Connection) -> None:
        """Write the book down, and take the mark away; what the database knows better is left.

        In portions, for the disk may have little room left for the log: each is a transaction of
        its own. When one fails, all of them stay in the book and may be written again, which
        changes nothing: none of it was given out meanwhile, and a request has its number already.
        """
        if self._first_request is None and self._ends:
            self._first_request = next_request(connection)
        for portion in self._portions(self._first_request or 0):
            with transaction(connection):
                for work in portion:
                    work(connection)
                self._standing.require()
        self._forget()

    def _portions(self, first_request: int) -> Iterator[list[Work[object]]]:
        """The claims, then their ends, then what was put off."""
        leases = list(self._leases.values())
        for begin in range(0, len(leases), _WRITTEN_AT_ONCE):
            yield [partial(_keep_leases, rows=leases[begin : begin + _WRITTEN_AT_ONCE])]
        portion: list[Work[object]] = []
        size = 0
        for number, end in enumerate(self._ends, first_request):
            request = None if end.request is None else replace(end.request, id=number)
            portion.append(partial(settle, rows=end.rows, now=end.now, request=request))
            size += end.size
            if size >= _WRITTEN_AT_ONCE:
                yield portion
                portion, size = [], 0
        portion += self._put_off.values()
        if portion:
            yield portion

    def _forget(self) -> None:
        self._leases.clear()
        self._ends.clear()
        self._ended.clear()
        self._first_request = None
        self._put_off.clear()
        self._kept_back = NONE_KEPT_BACK
        if self._marked:
            with suppress(OSError):  # after the next transaction, then
                self._marker.clear()
                self._marked = False

    def _is_ours(self, claim: _Claim, durable: set[_Claim]) -> bool:
        number, fence = claim
        lease = self._leases.get(number)
        is_current = claim in durable if lease is None else lease[1] == fence
        return is_current and claim not in self._ended

    def _mark(self, now: datetime) -> None:
        """Once for all claims until the book is written down."""
        if self._leases:
            return
        try:
            self._marker.put(to_microseconds(now))
        except OSError as error:
            raise StoreUnavailable(
                "nothing can be written, not even a mark that what is kept is being sent "
                f"({error.strerror})"
            ) from error
        self._marked = True

    def _keep_back(self) -> None:
        self._kept_back = orjson.dumps(list(self._ids())).decode()

    def _ids(self) -> set[int]:
        return self._leases.keys() | {number for number, _ in self._ended}


def _keep_leases(connection: apsw.Connection, rows: Sequence[_LeaseRow]) -> None:
    connection.execute(QUERIES["keep_leases"], {"leases": orjson.dumps(rows).decode()})

"""Which messageIds were seen: a ring of tables. Knows no thread; used inside transactions.

New ids go into the current table and are looked for in those that hold something. After a share of
the retention the next table becomes the current one, and the one that was left longest ago is
emptied in short steps once even its last id is old enough. So a table stays small enough for its
inserts and look-ups to stay flat, and old ids lie side by side when they go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import apsw
import orjson

from conversion_relay.service.store.port import Swept
from conversion_relay.service.store.sqlite.queries import QUERIES, in_slot
from conversion_relay.service.store.times import to_microseconds

SLOTS: Final = 3
"""What the schema has; two of them share the retention, so that the third can be emptied."""
_FORGOTTEN_AT_ONCE: Final = 5_000


class SlotState(Enum):
    """What a table of the ring is for at present."""

    CURRENT = "current"
    LEFT = "left"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Slot:
    """One table of the ring.

    Attributes:
        since: microseconds; when it came to its state. None until the first sweep sees it.
    """

    number: int
    state: SlotState
    since: int | None


@dataclass(frozen=True, slots=True)
class Ring:
    """The tables, by their numbers."""

    slots: tuple[Slot, ...]

    @property
    def current(self) -> Slot:
        """Where new ids go."""
        return next(slot for slot in self.slots if slot.state is SlotState.CURRENT)

    @property
    def following(self) -> Slot:
        """Where they go after that."""
        return self.slots[(self.current.number + 1) % len(self.slots)]

    @property
    def occupied(self) -> tuple[int, ...]:
        """The numbers of those that hold something."""
        return tuple(slot.number for slot in self.slots if slot.state is not SlotState.EMPTY)

    def was_left(self, slot: Slot, latest: int) -> bool:
        """Whether nothing went into it after this time, in microseconds.

        Its own time may be that of a clock that was ahead; then that of the table which took over
        from it, once that was left too, says so.
        """
        successor = self.slots[(slot.number + 1) % len(self.slots)]
        left = [one for one in (slot, successor) if one.state is SlotState.LEFT]
        return slot in left and any(one.since is not None and one.since <= latest for one in left)


def ring(connection: apsw.Connection) -> Ring:
    """How the tables stand now."""
    rows: str = connection.execute(QUERIES["ledger_slots"]).get
    slots = [Slot(number, SlotState(state), since) for number, state, since in orjson.loads(rows)]
    return Ring(tuple(slots))


def known(connection: apsw.Connection, tables: Ring, pairs: Sequence[tuple[str, str]]) -> set[int]:
    """The positions of those (messageId, source) that were seen."""
    asked = {"pairs": orjson.dumps(pairs).decode()}
    positions: set[int] = set()
    for slot in tables.occupied:
        found: str = connection.execute(in_slot(QUERIES["known"], slot), asked).get
        positions.update(orjson.loads(found))
    return positions


def events_of(connection: apsw.Connection, message_ids: Sequence[str]) -> list[int]:
    """The ids of the events with these messageIds, whatever their source; some may be gone."""
    asked = {"message_ids": orjson.dumps(list(message_ids)).decode()}
    events: list[int] = []
    for slot in ring(connection).occupied:
        found: str = connection.execute(in_slot(QUERIES["events_of"], slot), asked).get
        events += orjson.loads(found)
    return events


def event_known_as(connection: apsw.Connection, message_id: str, source: str) -> int | None:
    """The event with this key; it may be gone."""
    asked = {"message_id": message_id, "source": source}
    found = (
        connection.execute(in_slot(QUERIES["known_as"], slot), asked).get
        for slot in ring(connection).occupied
    )
    return next((event for event in found if event is not None), None)


def know_as(connection: apsw.Connection, row: tuple[str, str, int, int]) -> None:
    """Another key of an event: messageId, source, microseconds of its receipt, its id."""
    connection.execute(in_slot(QUERIES["keep_ledger"], ring(connection).current.number), row)


def forget(connection: apsw.Connection, retention: timedelta, now: datetime) -> Swept:
    """One short step: some ids that are too old go, or the next table becomes the current one."""
    tables, at = ring(connection), to_microseconds(now)
    latest = to_microseconds(now - retention)
    for slot in tables.slots:
        if tables.was_left(slot, latest):
            return Swept(ledger_entries=_empty(connection, slot.number, at), is_done=False)
    current = tables.current
    if current.since is None:
        _enter(connection, current.number, SlotState.CURRENT, at)
    elif current.since <= to_microseconds(now - retention / (SLOTS - 1)):
        _move_on(connection, tables, at)
    return Swept()


def _empty(connection: apsw.Connection, slot: int, at: int) -> int:
    """Take out some ids in the order of the table, the last ones at once."""
    bound = {"limit": _FORGOTTEN_AT_ONCE}
    connection.execute(in_slot(QUERIES["forget_some"], slot), bound)
    forgotten = connection.changes()
    if forgotten == 0:
        connection.execute(in_slot(QUERIES["forget_rest"], slot))
        forgotten = connection.changes()
        _enter(connection, slot, SlotState.EMPTY, at)
    return forgotten


def _move_on(connection: apsw.Connection, tables: Ring, at: int) -> None:
    """A table that is not empty yet is waited for."""
    if tables.following.state is SlotState.EMPTY:
        _enter(connection, tables.following.number, SlotState.CURRENT, at)
        _enter(connection, tables.current.number, SlotState.LEFT, at)


def _enter(connection: apsw.Connection, slot: int, state: SlotState, at: int) -> None:
    connection.execute(QUERIES["enter_slot"], {"slot": slot, "state": state.value, "since": at})

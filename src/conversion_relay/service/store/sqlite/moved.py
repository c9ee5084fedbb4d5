"""The mark of a database that moves elsewhere: from its begin on, nobody serves it here."""

from __future__ import annotations

from typing import cast

import apsw

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.store.embedded.connection import transaction
from conversion_relay.service.store.moving import MoveMark
from conversion_relay.service.store.sql_files import read_queries

MOVING = read_queries(__package__, ["leaving.sql"])
_UNDO = (
    "; if that is given up on purpose, `conversion-relay move --undo --from sqlite:///…` has this "
    "database served again"
)


def mark_of(connection: apsw.Connection) -> MoveMark | None:
    """What the database says of its move."""
    found = cast("tuple[str, str, int] | None", connection.execute(MOVING["mark"]).get)
    return None if found is None else MoveMark(found[0], found[1], bool(found[2]))


def set_mark(connection: apsw.Connection, mark: MoveMark | None) -> None:
    """Say something else of it; it is on the disk when this returns."""
    with transaction(connection):
        if mark is None:
            connection.execute(MOVING["unmark"])
        else:
            given = (mark.origin, mark.place, int(mark.is_finished))
            connection.execute(MOVING["set_mark"], given)


def require_unmoved(connection: apsw.Connection) -> None:
    """Refuse a database whose events are elsewhere: two would send them.

    Raises:
        ConfigurationError: it moved, or its move is not finished.
    """
    mark = mark_of(connection)
    if mark is None:
        return
    if mark.is_finished:
        raise ConfigurationError(
            f"this database was moved to {mark.place}, and what is here may have been delivered "
            f"there: set RELAY_DATABASE_URL to that address{_UNDO}"
        )
    raise ConfigurationError(
        f"the move of this database to {mark.place} is not finished: run the same "
        f"`conversion-relay move` again, it goes on where it ended{_UNDO}"
    )

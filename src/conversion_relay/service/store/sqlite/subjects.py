"""The key of the hashes that say whose events are, as the database keeps it.

Events that were kept before it was made have no hashes.
"""

from __future__ import annotations

import apsw

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.subjects import Subjects


def open_subjects(connection: apsw.Connection, sealer: Sealer) -> tuple[Subjects, int]:
    """The database's own, inside a transaction; made if it has none that can be opened.

    With them comes the first event that was kept with its hashes. The key is sealed anew with the
    one that seals now, so that no older one is needed for it.
    """
    found = connection.execute(QUERIES["subject_key"]).get
    if found is None:
        return _made(connection, sealer)
    sealed, first_event = found
    try:
        subjects = Subjects.opened(sealed, sealer)
    except SealingError:  # nothing else needs that key any more, or it would have been refused
        connection.execute(QUERIES["forget_all_match_keys"])
        connection.execute(QUERIES["forget_all_bonds"])
        return _made(connection, sealer)
    if not sealer.sealed_now(sealed):
        _keep(connection, sealer, subjects, first_event)
    return subjects, first_event


def _made(connection: apsw.Connection, sealer: Sealer) -> tuple[Subjects, int]:
    first_event: int = connection.execute(QUERIES["next_event"]).get
    subjects = Subjects.drawn()
    _keep(connection, sealer, subjects, first_event)
    return subjects, first_event


def _keep(
    connection: apsw.Connection, sealer: Sealer, subjects: Subjects, first_event: int
) -> None:
    given = {"sealed": subjects.sealed(sealer), "first_event": first_event}
    connection.execute(QUERIES["keep_subject_key"], given)

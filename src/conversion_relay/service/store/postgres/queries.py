"""The named queries of the `.sql` files of this folder. Knows no connection."""

from __future__ import annotations

from typing import Final

from conversion_relay.service.store.sql_files import read_queries

_FILES: Final = (
    "events.sql",
    "persons.sql",
    "replay.sql",
    "history.sql",
    "sweep.sql",
    "nodes.sql",
    "lanes.sql",
    "proposals.sql",
)
QUERIES = read_queries(__package__, _FILES)

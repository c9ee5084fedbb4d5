"""The named queries of the `.sql` files of this folder. Knows no connection."""

from __future__ import annotations

from functools import cache
from typing import Final

from conversion_relay.service.store.sql_files import read_queries

_FILES: Final = ("queries.sql", "persons.sql", "history.sql")
QUERIES = read_queries(__package__, _FILES)


@cache
def for_rows(name: str, count: int) -> str:
    """The INSERT of that name with `count` rows of placeholders instead of one."""
    head, values, placeholders = QUERIES[name].rpartition("VALUES ")
    return head + values + ", ".join([placeholders] * count)


@cache
def in_slot(query: str, slot: int) -> str:
    """The query with the ledger's table of that number in the place of `ledger_N`."""
    return query.replace("ledger_N", f"ledger_{slot}")

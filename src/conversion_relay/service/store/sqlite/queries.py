"""The named queries of the `.sql` files of this folder. Knows no connection.

`-- name: x` begins a query, which ends with its semicolon; other comments stay in place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _read(text: str) -> Mapping[str, str]:
    _, *parts = _NAME.split(text)
    bodies = (body.strip().removesuffix(";") for body in parts[1::2])
    return MappingProxyType(dict(zip(parts[::2], bodies, strict=True)))


_FILES: Final = ("queries.sql", "persons.sql", "history.sql")
_FOLDER: Final = resources.files(__package__)
QUERIES = _read("".join(_FOLDER.joinpath(name).read_text("utf-8") for name in _FILES))


@cache
def for_rows(name: str, count: int) -> str:
    """The INSERT of that name with `count` rows of placeholders instead of one."""
    head, values, placeholders = QUERIES[name].rpartition("VALUES ")
    return head + values + ", ".join([placeholders] * count)


@cache
def in_slot(query: str, slot: int) -> str:
    """The query with the ledger's table of that number in the place of `ledger_N`."""
    return query.replace("ledger_N", f"ledger_{slot}")

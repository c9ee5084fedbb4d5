"""In which fields two bodies differ, by their names: never a value of an event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import orjson

from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.core.values import Json, JsonObject

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_INDEX: Final = re.compile(r"(?<=\.)[0-9]+(?=\.|$)")
_ANY: Final = "*"
_DEEPEST: Final = 6
UNREADABLE_BODY: Final = "body"


def plain_note(note: Note) -> Note:
    """The note with * for the number of an element, so that those alike are counted as one."""
    return Note(note.destination, note.mapping, _INDEX.sub(_ANY, note.field), note.reason)


def differing_fields(before: PlannedDelivery, after: PlannedDelivery) -> frozenset[str]:
    """The paths that are not alike in what is sent; * is any element of a list."""
    fields = {*_between(before.body, after.body)}
    if before.envelope != after.envelope:
        fields.update(_between(before.envelope.encode(), after.envelope.encode()))
    return frozenset(fields)


def _between(before: bytes, after: bytes) -> Iterator[str]:
    if before == after:
        return
    old, new = _object(before), _object(after)
    if old is None or new is None:
        yield UNREADABLE_BODY
    else:
        yield from _below((), old, new)


def _object(text: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _below(path: tuple[str, ...], before: Json, after: Json) -> Iterator[str]:
    """Objects by their keys and lists by their order; what is on one side only is not entered."""
    if len(path) < _DEEPEST and isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            step = (*path, key if _KEY.fullmatch(key) else _ANY)
            if key in before and key in after:
                yield from _below(step, before[key], after[key])
            else:
                yield ".".join(step)
    elif len(path) < _DEEPEST and isinstance(before, list) and isinstance(after, list):
        for old, new in zip(before, after, strict=False):
            yield from _below((*path, _ANY), old, new)
        if len(before) != len(after):
            yield ".".join(path)
    elif before != after or type(before) is not type(after):  # 1 is no true
        yield ".".join(path)

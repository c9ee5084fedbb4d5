"""What differs between two configurations, a line for each setting and each part of a mapping.

Pure. Reads contents as candidates have them, in which no secret stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.complaints import called_in_file
from conversion_relay.service.toml_lines import Place

_LONGEST_VALUE: Final = 200
_MOST_LINES: Final = 500
_Lines: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Flat:
    """A content without depth.

    Attributes:
        settings: each with its value, by what it is called.
        mappings: by destination and name, the trigger and every part.
        orders: the names of a destination's mappings.
    """

    settings: _Lines
    mappings: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    orders: dict[str, list[str]] = field(default_factory=dict)


def difference(before: str, after: str) -> tuple[str, ...]:
    """What changes from the first content to the second: `- setting = …` and `+ setting = …`.

    A mapping that is new or gone is one line.
    """
    old, new = _read(before), _read(after)
    found = [*_changed(old.settings, new.settings), *_changed(*_mappings(old, new))]
    if len(found) > _MOST_LINES:
        found[_MOST_LINES:] = [f"… and {len(found) - _MOST_LINES} more lines"]
    return tuple(found)


def _read(content: str) -> _Flat:
    document = orjson.loads(content)
    flat = _Flat(_called(_parts((), document["settings"])))
    for destination, kept in document["mappings"].items():
        flat.orders[destination] = [preset["name"] for preset in kept["presets"]]
        flat.mappings.update(((destination, one["name"]), one) for one in kept["presets"])
    return flat


def _mappings(old: _Flat, new: _Flat) -> tuple[_Lines, _Lines]:
    """The lines of both sides' mappings: of those that both have every part, else the trigger."""
    shared = old.mappings.keys() & new.mappings.keys()
    sides = []
    for side in (old, new):
        lines: _Lines = {}
        for key, preset in side.mappings.items():
            parts = {part: value for part, value in preset.items() if part != "name"}
            place: Place = ("mappings", *key)
            if key in shared:
                lines |= _called(_parts(place, parts))
            else:
                lines[called_in_file(place)] = _shown(preset["subscribe"])
        for destination, names in side.orders.items():
            lines[called_in_file(("mappings", destination))] = _shown([*names])
        sides.append(lines)
    return sides[0], sides[1]


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            if name in old:
                yield f"- {name} = {old[name]}"
            if name in new:
                yield f"+ {name} = {new[name]}"


def _called(parts: Iterator[tuple[Place, Json]]) -> _Lines:
    return {called_in_file(place): _shown(value) for place, value in parts}


def _parts(place: Place, value: Json) -> Iterator[tuple[Place, Json]]:
    if isinstance(value, dict) and (value or not place):
        for key, below in value.items():
            yield from _parts((*place, key), below)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, below in enumerate(value):
            yield from _parts((*place, number), below)
    else:
        yield place, value


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"

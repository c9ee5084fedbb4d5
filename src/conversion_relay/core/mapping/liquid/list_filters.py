"""Filters on lists, and those that take anything, as liquidjs has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from conversion_relay.core.mapping.liquid.arguments import Arguments, LiquidFilter
from conversion_relay.core.mapping.liquid.words import (
    equals,
    is_true,
    items_of,
    js_number,
    liquid_text,
    settled,
    whole,
)
from conversion_relay.core.mapping.place import tolerating_missing
from conversion_relay.core.mapping.text import is_truthy, json_text, plain_text
from conversion_relay.core.values import MISSING, Value, follow, utf16_length

_MAX_GAP_CHARACTERS = 10


def _of_list(change: Callable[[list[Value], Arguments], list[Value]]) -> LiquidFilter:
    return lambda value, arguments: tolerating_missing(change(items_of(value), arguments))


def _join(value: Value, arguments: Arguments) -> Value:
    items, given = items_of(value), arguments.at(0)
    separator = " " if given is MISSING or given is None else liquid_text(given)
    arguments.budget.spend(len(items) * len(separator))
    return separator.join(plain_text(item) for item in items)


def _end(index: int) -> LiquidFilter:
    def apply(value: Value, _arguments: Arguments) -> Value:
        if not isinstance(value, list | str) or value == "":
            return ""
        return value[index] if value else MISSING

    return apply


def _size(value: Value, _arguments: Arguments) -> Value:
    match value:
        case str():
            return utf16_length(value)
        case list():
            return len(value)
        case dict():
            return value.get("length") or 0
        case _:
            return 0


def _slice(value: Value, arguments: Arguments) -> Value:
    if value is None or value is MISSING:
        return []
    sequence = value if isinstance(value, list) else liquid_text(value)
    begin, length = whole(arguments.number(0)), whole(arguments.number(1, 1))
    begin = begin + len(sequence) if begin < 0 else begin
    if begin < 0 or length < 0:
        return [] if isinstance(value, list) else ""
    return sequence[begin : begin + length]


def _property(item: Value, name: str) -> Value:
    named = name and isinstance(item, dict | list | str)
    return follow(item, tuple(name.split("."))) if named else MISSING


def _sum(value: Value, arguments: Arguments) -> Value:
    name, items = arguments.text(0), items_of(value)
    summands = [_property(item, name) for item in items] if is_truthy(arguments.at(0)) else items
    numbers = (js_number(summand) for summand in summands)
    return settled(sum(number for number in numbers if not math.isnan(number)))


def _where(items: list[Value], arguments: Arguments) -> list[Value]:
    name, expected = arguments.text(0), arguments.at(1)
    if expected is MISSING:
        return [item for item in items if is_true(_property(item, name))]
    return [item for item in items if equals(_property(item, name), expected)]


def _default(value: Value, arguments: Arguments) -> Value:
    if isinstance(value, str | list):
        return value or arguments.at(0)
    if value is False and arguments.named.get("allow_false"):
        return False
    return value if is_true(value) else arguments.at(0)


def _json(value: Value, arguments: Arguments) -> Value:
    return json_text(value, _gap(arguments.at(0)))


def _gap(indent: Value) -> str:
    """What JSON.stringify() indents each level by: so many spaces, or the text, at most ten."""
    if isinstance(indent, int | float) and not isinstance(indent, bool):
        return " " * max(0, min(whole(indent), _MAX_GAP_CHARACTERS))
    return indent[:_MAX_GAP_CHARACTERS] if isinstance(indent, str) else ""


LIST_FILTERS: Final[Mapping[str, LiquidFilter]] = {
    "join": _join,
    "first": _end(0),
    "last": _end(-1),
    "size": _size,
    "slice": _slice,
    "sum": _sum,
    "compact": _of_list(lambda items, _: [i for i in items if i is not None and i is not MISSING]),
    "push": _of_list(lambda items, arguments: [*items, arguments.at(0)]),
    "unshift": _of_list(lambda items, arguments: [arguments.at(0), *items]),
    "pop": _of_list(lambda items, _: items[:-1]),
    "shift": _of_list(lambda items, _: items[1:]),
    "where": _of_list(_where),
    "default": _default,
    "json": _json,
    "jsonify": _json,
    "inspect": _json,
    "raw": lambda value, _arguments: value,
}

"""Directives that build objects and lists: @arrayPath, @merge, @flatten and @transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from conversion_relay.core.mapping.options import (
    is_directive,
    object_or_directive,
    one_of,
    options_of,
    required,
)
from conversion_relay.core.mapping.paths import parse_path, path_resolver, without_root
from conversion_relay.core.mapping.place import (
    Payload,
    Place,
    Resolver,
    gaps_as_null,
    nothing,
    tolerating_missing,
    unresolvable,
    without_missing,
)
from conversion_relay.core.mapping.text import entries, is_truthy
from conversion_relay.core.values import MISSING, Json, Missing, Value, json_type


def compile_array_path(operand: Json, place: Place) -> Resolver:
    """The list at a path, each item in the given shape; one object counts as a list of one."""
    if not isinstance(operand, list) or not operand:
        found = "an empty list" if operand == [] else json_type(operand)
        return place.report(f"@arrayPath takes a list of a path and a shape, this is {found}")
    root = _root(operand[0], place.below(0))
    where = place.below(1)
    shape = where.value(operand[1]) if len(operand) > 1 else nothing
    settle = _settling(operand[0], place)
    if len(operand) == 1 or not isinstance(operand[1], dict) or not operand[1]:
        return root if isinstance(operand[0], str) else lambda payload: settle(root(payload))

    def resolve(payload: Payload) -> Value:
        found = root(payload)
        if not isinstance(found, list | dict):
            return found
        items = found if isinstance(found, list) else [found]
        return settle(tolerating_missing([shape(item) for item in items]))

    return resolve


def _root(operand: Json, place: Place) -> Resolver:
    if isinstance(operand, str):
        return path_resolver(parse_path(without_root(operand)))
    if is_directive(operand):
        return place.keeping_missing().value(operand)
    return place.report(
        f"@arrayPath takes a path or a directive first, this is {json_type(operand)}"
    )


def _settling(source: Json, place: Place) -> Callable[[Value], Value]:
    """What remains to be done with the result: of what a path finds, no member is missing."""
    if place.keeping:
        return lambda value: value
    return gaps_as_null if isinstance(source, str) else without_missing


def compile_merge(operand: Json, place: Place) -> Resolver:
    """One object out of several; a later one wins, with direction "left" an earlier one.

    A member that is missing wins as well, as in the published code: the result is without it.
    """
    options = options_of("@merge", operand, place)
    if options is None:
        return nothing
    direction = one_of("@merge", options, "direction", place, ("right", "left"))
    objects = options.get("objects", MISSING)
    where = place.below("objects") if "objects" in options else place
    if not isinstance(objects, list):
        return where.report(f'"objects" of @merge is {json_type(objects)}, expected a list')
    sources = [_part(item, where.below(index)) for index, item in enumerate(objects)]
    if direction == "left":
        sources.reverse()

    def resolve(payload: Payload) -> Value:
        merged: dict[str, Value] = {}
        for source in sources:
            merged.update(_members(source(payload)))
        value = tolerating_missing(merged)
        return value if place.keeping else without_missing(value)

    return resolve


def _part(mapping: Json, place: Place) -> Resolver:
    if not object_or_directive("@merge", mapping, place):
        return nothing
    return place.keeping_missing().value(mapping)


def _members(value: Value) -> Mapping[str, Value]:
    """What Object.assign() takes over: of a list or text, its items under their positions."""
    match value:
        case dict():
            return value
        case list() | str():
            return {str(index): item for index, item in enumerate(value)}
        case _:
            return {}


def compile_flatten(operand: Json, place: Place) -> Resolver:
    """One level of members whose names are the joined names of all levels."""
    options = options_of("@flatten", operand, place)
    if options is None or not required("@flatten", options, ["separator"], place):
        return nothing
    separator = options["separator"]
    if not isinstance(separator, str):
        return place.below("separator").report(
            f'"separator" of @flatten is {json_type(separator)}, expected a string'
        )
    if "value" not in options:
        return place.report('@flatten requires a "value", which is missing')
    source = place.below("value").keeping_missing().value(options["value"])
    whole = (dict,) if is_truthy(options.get("omitArrays", MISSING)) else (dict, list)

    def resolve(payload: Payload) -> Value:
        flat = dict(_leaves(source(payload), "", separator, whole))
        value = tolerating_missing(flat)
        return value if place.keeping else without_missing(value)

    return resolve


def _leaves(
    value: Value, prefix: str, separator: str, opened: tuple[type, ...]
) -> Iterator[tuple[str, Value]]:
    if not isinstance(value, opened):
        yield prefix, value
        return
    members = entries(value) if isinstance(value, dict) else _positions(value)
    for key, member in members:
        name = f"{prefix}{separator}{key}" if prefix else key
        yield from _leaves(member, name, separator, opened)


def _positions(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(value))


def compile_transform(operand: Json, place: Place) -> Resolver:
    """A mapping applied to what another mapping made of the payload."""
    options = options_of("@transform", operand, place)
    if options is None or not required("@transform", options, ["apply", "mapping"], place):
        return nothing
    apply, mapping = options["apply"], options["mapping"]
    if not isinstance(apply, dict) or not isinstance(mapping, dict):
        for key in ("apply", "mapping"):
            object_or_directive("@transform", options[key], place.below(key))
        return nothing
    where = place.below("apply").keeping_missing()
    applied = where.compile_root(apply, where)
    mapped = place.below("mapping").value(mapping)

    def resolve(payload: Payload) -> Value:
        if not isinstance(payload, Mapping | Missing):
            raise unresolvable(f"@transform needs an object to apply to, got {json_type(payload)}")
        value = mapped(without_missing(applied(payload), gap=MISSING))
        return value if place.keeping else without_missing(value)

    return resolve

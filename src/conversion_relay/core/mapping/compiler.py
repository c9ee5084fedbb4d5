"""From a mapping to closures that resolve it: everything that can be known is found at load.

Knows objects, lists, plain values and where directives may stand; the directives themselves are
rows of a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from conversion_relay.core.mapping.directives import DIRECTIVES
from conversion_relay.core.mapping.options import is_directive
from conversion_relay.core.mapping.place import (
    MAX_DEPTH,
    Payload,
    Place,
    Resolver,
    nothing,
    tolerating_missing,
)
from conversion_relay.core.values import MISSING, Json, JsonObject, Value, json_type
from conversion_relay.errors import MappingError, MappingProblem

ROOT_DIRECTIVE = "__segment_internal_directive"
"""The key whose directive is given the rest of the mapping as its own `mapping`."""

METADATA = "_metadata"
"""What an editor may leave beside a directive; it means nothing here."""

_Fields: TypeAlias = tuple[tuple[str, Resolver], ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a mapping makes of one event.

    Attributes:
        payload: the fields that could be resolved; never shares lists or objects with the mapping.
        problems: one for each field that could not, with the pointer of the field.
    """

    payload: JsonObject
    problems: tuple[MappingProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledMapping:
    """A mapping that can be resolved.

    Attributes:
        fields: pointer, name and resolver of each top-level field. A mapping that is a directive
            as a whole has one field without a name.
    """

    fields: tuple[tuple[str, str | None, Resolver], ...]

    def resolve(self, event: Mapping[str, Json]) -> JsonObject:
        """The payload; missing values are left out, null stays. The event is not changed.

        Raises:
            MappingError: when a field cannot be resolved for this event.
        """
        resolution = self.evaluate(event)
        if resolution.problems:
            raise MappingError(resolution.problems)
        return resolution.payload

    def evaluate(self, event: Mapping[str, Json]) -> Resolution:
        """The payload and the problems, each top-level field on its own."""
        payload: JsonObject = {}
        problems: list[MappingProblem] = []
        for pointer, name, resolver in self.fields:
            try:
                value = resolver(event)
            except MappingError as error:
                problems.extend(MappingProblem(pointer, each.sentence) for each in error.problems)
            except RecursionError:
                problems.append(MappingProblem(pointer, "the event is nested too deeply for this"))
            else:
                if name is None:
                    problems.extend(_taken_over(payload, value))
                elif value is not MISSING:
                    payload[name] = value
        return Resolution(payload, tuple(problems))


def _taken_over(payload: JsonObject, value: Value) -> list[MappingProblem]:
    if isinstance(value, dict):
        payload.update(value)
        return []
    return [MappingProblem("", f"the mapping has to give an object, it gave {json_type(value)}")]


def compile_mapping(mapping: Mapping[str, Json]) -> CompiledMapping:
    """The mapping, compiled.

    Raises:
        MappingError: with all the problems of the mapping.
    """
    place = Place("", 0, keeping=False, problems=[], compile_value=_value, compile_root=_root)
    members = dict(mapping)
    if ROOT_DIRECTIVE in members or is_directive(members):
        compiled = CompiledMapping((("", None, _root(members, place)),))
    else:
        compiled = CompiledMapping(
            tuple((f.pointer, key, f.value(member)) for key, member, f in _below(members, place))
        )
    if place.problems:
        raise MappingError(tuple(place.problems))
    return compiled


def _below(members: JsonObject, place: Place) -> list[tuple[str, Json, Place]]:
    return [(key, member, place.below(key)) for key, member in members.items()]


def _root(mapping: JsonObject, place: Place) -> Resolver:
    """A whole mapping, whose directive may stand apart from the fields it is applied to."""
    if ROOT_DIRECTIVE not in mapping:
        return _value(mapping, place)
    directive = mapping[ROOT_DIRECTIVE]
    where = place.below(ROOT_DIRECTIVE)
    if not isinstance(directive, dict) or len(directive) != 1:
        found = f"{len(directive)} keys" if isinstance(directive, dict) else json_type(directive)
        return where.report(f"the root directive is an object with one directive, found {found}")
    ((name, options),) = directive.items()
    if not isinstance(options, dict):
        return where.below(name).report(
            f"the root directive takes an object of options, this is {json_type(options)}"
        )
    fields = {key: member for key, member in mapping.items() if key != ROOT_DIRECTIVE}
    return _value({name: {**options, "mapping": fields}}, where)


def _value(mapping: Json, place: Place) -> Resolver:
    if place.depth > MAX_DEPTH:
        return place.report(f"the mapping is nested deeper than {MAX_DEPTH} levels")
    match mapping:
        case dict():
            return _directive(mapping, place) if is_directive(mapping) else _object(mapping, place)
        case list():
            return _list(mapping, place)
        case _:
            return lambda _payload: mapping


def _directive(mapping: JsonObject, place: Place) -> Resolver:
    names = [key for key in mapping if key.startswith("@")]
    others = [key for key in mapping if not key.startswith("@") and key != METADATA]
    if len(names) > 1 or others:
        found = ", ".join(f'"{key}"' for key in (*names, *others))
        place.report(f"a directive stands alone in its object, found {found}")
    resolver: Resolver = nothing
    for name in names:
        row = DIRECTIVES.get(name)
        where = place.below(name)
        resolver = where.report(_unknown(name)) if row is None else row(mapping[name], where)
    return resolver


def _unknown(name: str) -> str:
    closest = get_close_matches(name, DIRECTIVES, n=1, cutoff=0.0)[0]
    return f'"{name}" is no directive; the closest is "{closest}"'


def _object(mapping: JsonObject, place: Place) -> Resolver:
    fields: _Fields = tuple((key, f.value(member)) for key, member, f in _below(mapping, place))
    if place.keeping:
        return lambda payload: tolerating_missing(
            {key: resolver(payload) for key, resolver in fields}
        )

    def resolve(payload: Payload) -> Value:
        members: JsonObject = {}
        for key, resolver in fields:
            value = resolver(payload)
            if value is not MISSING:
                members[key] = value
        return members

    return resolve


def _list(mapping: list[Json], place: Place) -> Resolver:
    resolvers = tuple(place.below(index).value(item) for index, item in enumerate(mapping))
    if place.keeping:
        return lambda payload: tolerating_missing([resolver(payload) for resolver in resolvers])
    return lambda payload: tolerating_missing(
        [None if (item := resolver(payload)) is MISSING else item for resolver in resolvers]
    )

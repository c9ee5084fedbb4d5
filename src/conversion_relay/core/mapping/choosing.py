"""Directives that choose: @if and @excludeWhenNull."""

from __future__ import annotations

from conversion_relay.core.mapping.options import options_of
from conversion_relay.core.mapping.place import (
    Payload,
    Place,
    Resolver,
    nothing,
    tolerating_missing,
)
from conversion_relay.core.mapping.text import equals_empty_text, is_truthy, json_text
from conversion_relay.core.values import MISSING, Json, JsonObject, Value, json_type


def compile_if(operand: Json, place: Place) -> Resolver:
    """`then` where `exists` is there, or `blank` is there and not empty; `else` otherwise."""
    options = options_of("@if", operand, place)
    if options is None:
        return nothing
    exists, blank = place.member(options, "exists"), place.member(options, "blank")
    then = place.member(options, "then")
    otherwise = place.member(options, "else")
    if not is_truthy(options.get("else", MISSING)):
        otherwise = nothing
    if not any(is_truthy(options.get(key, MISSING)) for key in ("exists", "blank")):
        return place.report(f'@if requires an "exists" or a "blank"{_instead(options)}')
    if "exists" not in options:
        return _unless_blank(blank, then, otherwise)
    if not place.problems and _same(options.get("then", MISSING), options["exists"]):
        return _first_that_exists(exists, otherwise)
    return _if_exists(exists, then, otherwise)


def _instead(options: JsonObject) -> str:
    found = [
        f'"{key}" is {json_type(options[key])}' for key in ("exists", "blank") if key in options
    ]
    if found:
        return f", {' and '.join(found)}"
    return f", found {', '.join(sorted(options))}" if options else ", found no options"


def _same(one: Value, other: Value) -> bool:
    """Whether two mappings are written alike; == would take 1 for true."""
    return json_text(one) == json_text(other)


def _first_that_exists(preferred: Resolver, otherwise: Resolver) -> Resolver:
    def resolve(payload: Payload) -> Value:
        value = preferred(payload)
        return otherwise(payload) if value is MISSING or value is None else value

    return resolve


def _if_exists(exists: Resolver, then: Resolver, otherwise: Resolver) -> Resolver:
    def resolve(payload: Payload) -> Value:
        value = exists(payload)
        return otherwise(payload) if value is MISSING or value is None else then(payload)

    return resolve


def _unless_blank(blank: Resolver, then: Resolver, otherwise: Resolver) -> Resolver:
    def resolve(payload: Payload) -> Value:
        value = blank(payload)
        if value is MISSING or value is None or equals_empty_text(value):
            return otherwise(payload)
        return then(payload)

    return resolve


def compile_exclude_when_null(operand: Json, place: Place) -> Resolver:
    """The value without any null members, at every level of objects but not inside lists."""
    source = place.value(operand)
    cleaned = _marking_nulls if place.keeping else _dropping_nulls

    def resolve(payload: Payload) -> Value:
        value = source(payload)
        if isinstance(value, dict):
            return cleaned(value)
        return MISSING if value is None else value

    return resolve


def _dropping_nulls(members: JsonObject) -> Value:
    return tolerating_missing(
        {
            key: _dropping_nulls(member) if isinstance(member, dict) else member
            for key, member in members.items()
            if member is not None
        }
    )


def _marking_nulls(members: JsonObject) -> Value:
    return tolerating_missing(
        {
            key: _marking_nulls(member)
            if isinstance(member, dict)
            else (MISSING if member is None else member)
            for key, member in members.items()
        }
    )

"""Directives that read: @path, @template and @literal.

Each looks at the payload and changes nothing in what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from conversion_relay.core.mapping.options import text_or_directive
from conversion_relay.core.mapping.paths import parse_path, path_resolver, without_root
from conversion_relay.core.mapping.place import (
    Payload,
    Place,
    Resolver,
    nothing,
    unresolvable,
)
from conversion_relay.core.mapping.text import WHITESPACE, plain_text
from conversion_relay.core.values import Json, Value, json_type

_Maker: TypeAlias = Callable[[str], Resolver]

_TRIPLE = re.compile(r"\{\{\{([^}]+)\}\}\}")
_DOUBLE = re.compile(r"\{\{([^}]+)\}\}")


def compile_path(operand: Json, place: Place) -> Resolver:
    """What stands at a path of the payload."""
    return _from_text("@path", operand, place, _path)


def compile_template(operand: Json, place: Place) -> Resolver:
    """Text with values of the payload in it, at {{path}} or {{{path}}}."""
    return _from_text("@template", operand, place, _template)


def compile_literal(operand: Json, place: Place) -> Resolver:
    """What stands there; directives inside it are resolved all the same."""
    return place.value(operand)


def _from_text(name: str, operand: Json, place: Place, make: _Maker) -> Resolver:
    if isinstance(operand, str):
        return make(operand)
    if not text_or_directive(name, operand, place):
        return nothing
    source = place.dropping_missing().value(operand)

    def resolve(payload: Payload) -> Value:
        text = source(payload)
        if not isinstance(text, str):
            raise unresolvable(f"{name} needs a string, its directive gave {json_type(text)}")
        return make(text)(payload)

    return resolve


def _path(text: str) -> Resolver:
    return path_resolver(parse_path(without_root(text)))


def _template(template: str) -> Resolver:
    pieces = tuple(_pieces(template))
    if all(isinstance(piece, str) for piece in pieces):
        return lambda _payload: template

    def resolve(payload: Payload) -> Value:
        return "".join(
            piece if isinstance(piece, str) else plain_text(piece(payload)) for piece in pieces
        )

    return resolve


def _pieces(template: str) -> Iterator[str | Resolver]:
    """Plain text and resolvers by turns: triple braces first, double in what they leave."""
    for index, piece in enumerate(_TRIPLE.split(template)):
        if index % 2:
            yield _placeholder(piece)
            continue
        for inner_index, inner in enumerate(_DOUBLE.split(piece)):
            yield _placeholder(inner) if inner_index % 2 else inner


def _placeholder(path: str) -> Resolver:
    return path_resolver(parse_path(path.strip(WHITESPACE)))

"""From text to JSON values, with the text of each element of a list kept beside it.

Stricter than Python's json (no NaN, no Infinity), kinder than orjson (big integers keep their
digits, a lone surrogate becomes U+FFFD, because a cut emoji is no reason to lose an event). Knows
nothing of events.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NoReturn, cast

from conversion_relay.core.values import Json

_BYTE_ORDER_MARK = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why a text is no JSON: what was found and where, never a part of the text."""

    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value and the text it was read from."""

    value: Json
    text: str = field(repr=False)


def decode(text: str) -> Decoded | Undecodable:
    """The one value in the text."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    start = _skip_space(text, 0)
    found = _value_at(text, start)
    if isinstance(found, Undecodable):
        return found
    decoded, end = found
    rest = _skip_space(text, end)
    return decoded if rest == len(text) else _unexpected(text, rest, "the end of the text")


def is_list(text: str) -> bool:
    """Whether the text begins as a JSON list does."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    return text[_skip_space(text, 0) :][:1] == "["


def first_element(text: str) -> Decoded | Undecodable | None:
    """The first element of a list, exactly as it stands in the text; None when it is empty."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    start = _skip_space(text, _skip_space(text, 0) + 1)
    if text[start : start + 1] == "]":
        return None
    found = _value_at(text, start)
    return found if isinstance(found, Undecodable) else found[0]


def decode_list(text: str) -> list[Decoded] | Undecodable:
    """The elements of a list, in order."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    position = _skip_space(text, _skip_space(text, 0) + 1)
    elements: list[Decoded] = []
    if text[position : position + 1] != "]":
        end = _elements(text, position, elements)
        if isinstance(end, Undecodable):
            return end
        position = end
    rest = _skip_space(text, position + 1)
    return elements if rest == len(text) else _unexpected(text, rest, "the end of the text")


def _elements(text: str, position: int, elements: list[Decoded]) -> int | Undecodable:
    """Reads elements up to the closing bracket, whose position it gives."""
    while True:
        found = _value_at(text, position)
        if isinstance(found, Undecodable):
            return found
        decoded, end = found
        elements.append(decoded)
        position = _skip_space(text, end)
        mark = text[position : position + 1]
        if mark == "]":
            return position
        if mark != ",":
            return _unexpected(text, position, '"," or "]"')
        position = _skip_space(text, position + 1)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _value_at(text: str, start: int) -> tuple[Decoded, int] | Undecodable:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return Undecodable(f"{error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Undecodable("nested too deeply")
    except ValueError:
        return Undecodable("a number that JSON does not have, or with too many digits")
    part = text[start:end]
    if _SURROGATE_ESCAPE.search(part):
        value = _mended(value)
    return Decoded(cast("Json", value), part), end


def _mended(value: Json) -> Json:
    """The value with U+FFFD for each surrogate without its other half."""
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {_SURROGATE.sub("\ufffd", key): _mended(item) for key, item in value.items()}
        case _:
            return value


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _unexpected(text: str, position: int, expected: str) -> Undecodable:
    found = "more text" if position < len(text) else "the end of the text"
    return Undecodable(f"expected {expected} at character {position + 1}, found {found}")

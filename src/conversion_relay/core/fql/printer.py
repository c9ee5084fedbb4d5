"""Conditions written as text that parses to the same condition again.

Where Segment's own parser can express the condition, it reads the text alike: keys that it would
misread (a digit first, the words of the language) carry a backslash. Knows nothing of events.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final, assert_never

from conversion_relay.core.fql.conditions import (
    Comparison,
    Condition,
    FunctionCall,
    Group,
    Operand,
)
from conversion_relay.core.values import Path

_ODD_CHARACTER: Final = re.compile(r"[^A-Za-z0-9_-]")
_PLAIN_START: Final = re.compile(r"[A-Za-z_\\]")
_WORDS_OF_THE_LANGUAGE: Final = frozenset({"and", "or", "null"})


def render(condition: Condition) -> str:
    """The trigger as text: one space between words, parentheses around inner groups only.

    Raises:
        ValueError: the condition did not come from `parse` and no text can express it, such as an
            operand with both kinds of quotes.
    """
    match condition:
        case Comparison(path, operator, operand):
            return f"{_field(path)} {operator} {_operand(operand)}"
        case FunctionCall(name, path, text, negated):
            return f"{'!' if negated else ''}{name}({_field(path)}, {_quoted(text)})"
        case Group(word, members):
            return f" {word} ".join(_member(member) for member in members)
    assert_never(condition)


def _member(condition: Condition) -> str:
    text = render(condition)
    return f"({text})" if isinstance(condition, Group) else text


def _field(path: Path) -> str:
    return ".".join([path[0], *(_key(key) for key in path[1:])])


def _key(key: str) -> str:
    escaped = _ODD_CHARACTER.sub(r"\\\g<0>", key)
    if _PLAIN_START.match(escaped) and key not in _WORDS_OF_THE_LANGUAGE:
        return escaped
    return "\\" + escaped


def _operand(operand: Operand) -> str:
    match operand:
        case None:
            return "null"
        case bool():
            return "true" if operand else "false"
        case str():
            return _quoted(operand)
        case _:
            return _number(operand)


def _number(number: float) -> str:
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        raise ValueError(f"the language has no way to write {number}")
    digits = format(Decimal(repr(number)), "f")
    # Without the point it would be read again as an integer.
    return digits if "." in digits else f"{digits}.0"


def _quoted(text: str) -> str:
    for quote in ('"', "'"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise ValueError("a text with both kinds of quotes cannot be written in the language")

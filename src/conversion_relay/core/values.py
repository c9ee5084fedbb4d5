"""JSON values as the two small languages see them: paths into them, numbers and their text.

Knows nothing of events, triggers or mappings. Paths follow the published libraries of Segment
(npm, read 2026-11-21): a step into a falsy value gives that value back, strings and lists answer
to a position and to `length`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


class Missing(Enum):
    """The type of MISSING: there is no value, which is not the same as null."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
Value: TypeAlias = "Json | Missing"
Path: TypeAlias = tuple[str, ...]

_EXACT_FLOAT_DIGITS = 21


def follow(value: Value | Mapping[str, Json], path: Path) -> Value:
    """What stands at the path, or MISSING; a falsy value on the way ends the walk and is given."""
    current: Value | Mapping[str, Json] = value
    for key in path:
        if isinstance(current, dict):
            current = current.get(key, MISSING) if current else MISSING
        elif isinstance(current, list | str):
            if current == "":
                return ""
            current = _item(current, key)
        elif isinstance(current, Mapping):
            current = current.get(key, MISSING)
        elif current is True or (isinstance(current, int | float) and current):
            return MISSING
        else:
            break
    return current  # type: ignore[return-value]  # only the root can be a Mapping that is no dict


def _item(sequence: list[Json] | str, key: str) -> Value:
    if key == "length":
        return utf16_length(sequence) if isinstance(sequence, str) else len(sequence)
    if key.isascii() and key.isdigit() and (key == "0" or key[0] != "0"):
        index = int(key) if len(key) < _EXACT_FLOAT_DIGITS else len(sequence)
        return sequence[index] if index < len(sequence) else MISSING
    return MISSING


def utf16_length(text: str) -> int:
    """The length of the text as JavaScript counts it: an emoji is two."""
    if text.isascii():
        return len(text)
    return len(text) + sum(character > "\uffff" for character in text)


def json_type(value: object) -> str:
    """The JSON type of a value, with its article, for messages; never the value itself."""
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    return _JSON_TYPES.get(type(value), "an object")


_JSON_TYPES: Final[Mapping[type, str]] = {
    Missing: "missing",
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
}


def read_number(text: str) -> float | None:
    """The finite or infinite number that JavaScript's Number() reads in the text, without blanks.

    None where it reads none; "" and the word Infinity are the caller's to judge.
    """
    if _DECIMAL.fullmatch(text):
        return float(text)
    return int(text, 0) if _RADIX.fullmatch(text) else None


_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_RADIX: Final = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")


def number_text(number: float) -> str:
    """A number as JavaScript's String() writes it: 1.0 is "1", 1e21 is "1e+21".

    Whole numbers that came as integers keep all their digits.
    """
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
    if number == 0:
        return "0"
    return _float_text(number)


def _float_text(number: float) -> str:
    sign = "-" if number < 0 else ""
    mantissa, _, exponent_text = repr(abs(number)).partition("e")
    digits = mantissa.replace(".", "").lstrip("0")
    point = _point(mantissa) + int(exponent_text or 0)
    digits = digits.rstrip("0") or "0"
    return sign + _place(digits, point)


def _point(mantissa: str) -> int:
    whole, _, fraction = mantissa.partition(".")
    if whole.strip("0"):
        return len(whole.lstrip("0"))
    return -(len(fraction) - len(fraction.lstrip("0")))


def _place(digits: str, point: int) -> str:
    """Digits with the decimal point after `point` of them (ECMA-262, Number::toString)."""
    count = len(digits)
    if count <= point <= _EXACT_FLOAT_DIGITS:
        return digits + "0" * (point - count)
    if 0 < point <= _EXACT_FLOAT_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004 - the bound of ECMA-262
        return "0." + "0" * -point + digits
    exponent = point - 1
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if exponent > 0 else '-'}{abs(exponent)}"

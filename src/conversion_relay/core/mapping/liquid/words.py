"""How liquidjs reads and writes values: as text, as numbers, as lists, and whether they are equal.

Knows values only; no templates, tags or filters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.exceptions import ResourceLimitError
from liquid.undefined import is_undefined

from conversion_relay.core.mapping.text import WHITESPACE, plain_text
from conversion_relay.core.values import MISSING, Missing, Value, number_text, read_number

_EXACT = 2**53
MAX_RANGE_ITEMS = 100_000


def as_value(found: object) -> Value:
    """What the engine holds, as a value of ours; a range is a list."""
    match found:
        case None | bool() | int() | float() | str() | list() | dict() | Missing():
            return found
        case range():
            return _listed(found)
        case Mapping() if not is_undefined(found):
            return dict(found)
        case Empty() | Blank():
            return ""
        case _:
            return MISSING


def _listed(found: range) -> Value:
    if len(found) > MAX_RANGE_ITEMS:
        raise ResourceLimitError(f"a range of more than {MAX_RANGE_ITEMS} items", token=None)
    return list(found)


def liquid_text(value: Value) -> str:
    """The value as a template prints it: lists without commas, nothing for what is missing."""
    if isinstance(value, list):
        return "".join(liquid_text(item) for item in value)
    return plain_text(value)


def liquid_number(value: Value) -> float:
    """The value as filters calculate with it: 0 for what is no number."""
    number = js_number(value)
    return 0 if math.isnan(number) else number


def js_number(value: Value) -> float:
    """What Number() makes of the value; NaN for what is no number."""
    match value:
        case bool() | int() | float():
            return _as_float(value)
        case None:
            return 0
        case Missing() | dict():
            return math.nan
        case _:
            return _number_in(plain_text(value).strip(WHITESPACE))


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _number_in(text: str) -> float:
    if not text:
        return 0
    number = read_number(text)
    if number is not None:
        return _as_float(number)
    infinite = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
    return infinite.get(text, math.nan)


def settled(number: float) -> int | float:
    """The number as an integer where it is a whole one that a double holds exactly."""
    if math.isfinite(number) and number == int(number) and abs(number) < _EXACT:
        return int(number)
    return number


def whole(value: Value, default: int = 0) -> int:
    """The value as a count of characters or items."""
    number = liquid_number(value)
    return int(number) if math.isfinite(number) else default


def items_of(value: Value) -> list[Value]:
    """The value as a list: nothing gives none, anything but a list one item."""
    match value:
        case None | Missing():
            return []
        case list():
            return list(value)
        case _:
            return [value]


def equals(left: Value, right: Value) -> bool:
    """Whether two values are equal: strictly, lists item by item, objects only with themselves."""
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(equals(one, other) for one, other in zip(left, right, strict=True))
        )
    if isinstance(left, bool) or isinstance(right, bool) or isinstance(left, dict):
        return left is right
    return (type(left) is type(right) and left == right) or _same_number(left, right)


def _same_number(left: Value, right: Value) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float) and left == right


def is_true(value: Value) -> bool:
    """Whether a condition holds: everything but false, null and what is missing."""
    return not (value is False or value is None or value is MISSING)


def key_text(value: Value) -> str:
    """A value used as a key."""
    return number_text(value) if isinstance(value, float) else plain_text(value)

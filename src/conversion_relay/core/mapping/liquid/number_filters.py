"""Filters that calculate, as liquidjs does: with doubles, and 0 for what is no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from conversion_relay.core.mapping.liquid.arguments import Arguments, LiquidFilter
from conversion_relay.core.mapping.liquid.words import js_number, liquid_number, settled
from conversion_relay.core.values import Value, number_text

_MAX_SAFE_INTEGER = 2**53 - 1


def _of_one(calculate: Callable[[float], float]) -> LiquidFilter:
    def apply(value: Value, _arguments: Arguments) -> Value:
        return settled(calculate(liquid_number(value)))

    return apply


def _of_two(calculate: Callable[[float, float], float]) -> LiquidFilter:
    def apply(value: Value, arguments: Arguments) -> Value:
        try:
            return settled(calculate(liquid_number(value), _operand(arguments)))
        except (OverflowError, ValueError):  # infinite, or not a number
            return math.nan

    return apply


def _of_all(choose: Callable[[list[float]], float]) -> LiquidFilter:
    def apply(value: Value, arguments: Arguments) -> Value:
        numbers = [liquid_number(each) for each in (value, *arguments.given)]
        return settled(choose(numbers))

    return apply


def _operand(arguments: Arguments) -> float:
    """The first argument: 0 when it names nothing, NaN when none was written."""
    return liquid_number(arguments.given[0]) if arguments.given else math.nan


def _whole(rounding: Callable[[float], int]) -> Callable[[float], float]:
    return lambda number: float(rounding(number)) if math.isfinite(number) else number


def _quotient(dividend: float, divisor: float) -> float:
    if divisor:
        return dividend / divisor
    sign = math.copysign(1, dividend) * math.copysign(1, divisor)
    return sign * math.inf if dividend else math.nan


def _divided_by(value: Value, arguments: Arguments) -> Value:
    quotient = _quotient(liquid_number(value), _operand(arguments))
    return settled(_whole(math.floor)(quotient) if arguments.number(1) else quotient)


def _modulo(dividend: float, divisor: float) -> float:
    return math.fmod(math.fmod(dividend, divisor) + divisor, divisor)


def _round(value: Value, arguments: Arguments) -> Value:
    number, places = liquid_number(value), arguments.number(0)
    scaled = _shifted(abs(number), places)
    if not scaled <= _MAX_SAFE_INTEGER:
        return settled(number)
    below = math.floor(scaled)
    nearest = below if scaled - below < 0.5 else below + 1  # noqa: PLR2004 - halves go up
    rounded = _shifted(nearest, -places)
    return settled(-rounded if number < 0 else rounded)


def _shifted(number: float, places: float) -> float:
    """The number with its decimal point moved, without the error of a multiplication."""
    mantissa, _, power = number_text(settled(number)).partition("e")
    exponent = float(power or 0) + places
    if not exponent.is_integer():
        return math.nan
    try:
        return float(f"{mantissa}e{int(exponent)}")
    except ValueError:
        return math.nan


def _to_integer(value: Value, _arguments: Arguments) -> Value:
    return settled(js_number(value))


NUMBER_FILTERS: Final[Mapping[str, LiquidFilter]] = {
    "abs": _of_one(abs),
    "ceil": _of_one(_whole(math.ceil)),
    "floor": _of_one(_whole(math.floor)),
    "plus": _of_two(lambda one, other: one + other),
    "minus": _of_two(lambda one, other: one - other),
    "times": _of_two(lambda one, other: one * other),
    "modulo": _of_two(_modulo),
    "at_least": _of_all(max),
    "at_most": _of_all(min),
    "divided_by": _divided_by,
    "round": _round,
    "to_integer": _to_integer,
}

"""Whether an event is one that a trigger is for.

The answers are those of Segment's published code (npm, read 2026-11-21) except where that is a
plain fault; docs/parity.md lists the differences. Knows no text: what a trigger means was settled
when it was parsed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, assert_never

from conversion_relay.core.fql.conditions import (
    Comparison,
    Condition,
    FunctionCall,
    Group,
    Operand,
)
from conversion_relay.core.values import MISSING, Json, Value, follow

Predicate: TypeAlias = Callable[[Value, Operand], bool]


def matches(condition: Condition, event: Mapping[str, Json]) -> bool:
    """True if the event meets the condition; the event is not changed."""
    match condition:
        case Comparison():
            holds = OPERATORS[condition.operator, type(condition.operand)]
            return holds(follow(event, condition.path), condition.operand)
        case FunctionCall():
            actual = follow(event, condition.path)
            if not isinstance(actual, str):
                return False
            return FUNCTIONS[condition.name](actual, condition.text) is not condition.negated
        case Group(word="and"):
            return all(matches(member, event) for member in condition.members)
        case Group():
            return any(matches(member, event) for member in condition.members)
    assert_never(condition)


def _is_absent(actual: Value, _: Operand) -> bool:
    return actual is None or actual is MISSING


def _is_present(actual: Value, _: Operand) -> bool:
    return actual is not None and actual is not MISSING


def _is_boolean(actual: Value, expected: Operand) -> bool:
    return actual is expected


def _is_not_boolean(actual: Value, expected: Operand) -> bool:
    # The text "true" is refused too, as published: whoever excludes true means it as well.
    return actual is not expected and actual != ("true" if expected else "false")


def _for_numbers(compare: Callable[[float, float], bool]) -> Predicate:
    """The comparison, with the answer no for whatever is no number, true and false included."""

    def holds(actual: Value, expected: Operand) -> bool:
        # The table below pairs it with operands that are numbers.
        return type(actual) in _NUMBERS and compare(actual, expected)  # type: ignore[arg-type]

    return holds


_NUMBERS: Final = (int, float)

_NUMBER_OPERATORS: Final[Mapping[str, Predicate]] = {
    "=": _for_numbers(operator.eq),
    "!=": _for_numbers(operator.ne),
    "<": _for_numbers(operator.lt),
    "<=": _for_numbers(operator.le),
    ">": _for_numbers(operator.gt),
    ">=": _for_numbers(operator.ge),
}

OPERATORS: Final[Mapping[tuple[str, type], Predicate]] = {
    ("=", str): operator.eq,
    ("!=", str): operator.ne,
    ("=", bool): _is_boolean,
    ("!=", bool): _is_not_boolean,
    ("=", type(None)): _is_absent,
    ("!=", type(None)): _is_present,
    **{(name, kind): holds for name, holds in _NUMBER_OPERATORS.items() for kind in _NUMBERS},
}
"""What an operator asks of the field's value, by the operator and the type of its operand."""


def _fits(actual: str, pattern: str) -> bool:
    """True if the text begins with the "x" of "x*", or ends with that of "*x"."""
    if pattern.endswith("*"):
        return actual.startswith(pattern[:-1])
    return actual.endswith(pattern[1:])


FUNCTIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": operator.contains,
    "match": _fits,
}
"""What a function asks of a text; of anything else the answer is no, with `!` in front too."""

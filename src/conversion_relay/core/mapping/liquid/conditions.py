"""Conditions of `if` and `unless` with the comparisons of liquidjs.

The engine parses them; its own comparisons refuse mixed types where those of JavaScript convert.
Knows expressions; not the tags they stand in.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from liquid import RenderContext
from liquid.builtin.expressions import BooleanExpression
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty, Nil
from liquid.expression import Expression
from typing_extensions import override

from conversion_relay.core.mapping.liquid.words import as_value, equals, is_true, js_number
from conversion_relay.core.mapping.text import WHITESPACE, plain_text
from conversion_relay.core.values import Value

_Operator: TypeAlias = Callable[[Expression, Expression, RenderContext], bool]


class Condition(Expression):
    """Two expressions and what has to hold between them."""

    __slots__ = ("holds", "left", "right")

    def __init__(
        self, written: Expression, sides: tuple[Expression, Expression], holds: _Operator
    ) -> None:
        super().__init__(written.token)
        self.left, self.right = sides
        self.holds = holds

    @override
    def evaluate(self, context: RenderContext) -> bool:
        return self.holds(self.left, self.right, context)

    @override
    def children(self) -> tuple[Expression, ...]:
        return self.left, self.right


class Truth(Expression):
    """Whether the value of an expression counts as true, or as false."""

    __slots__ = ("expected", "expression")

    def __init__(self, expression: Expression, *, expected: bool) -> None:
        super().__init__(expression.token)
        self.expression = expression
        self.expected = expected

    @override
    def evaluate(self, context: RenderContext) -> bool:
        return is_true(_value(self.expression, context)) is self.expected

    @override
    def children(self) -> tuple[Expression, ...]:
        return (self.expression,)


def adopt(condition: Expression) -> None:
    """Gives a parsed condition the comparisons of this module."""
    if isinstance(condition, BooleanExpression):
        condition.expression = Truth(_adopted(condition.expression), expected=True)


def _adopted(expression: Expression) -> Expression:
    if isinstance(expression, LogicalNotExpression):
        return _negated(expression.right)
    holds = _OPERATORS.get(type(expression))
    if holds is None:
        return expression
    left, right = (_adopted(side) for side in expression.children())
    return Condition(expression, (left, right), holds)


def _negated(expression: Expression) -> Expression:
    """The engine lets `not` reach over everything behind it; liquidjs over one comparison."""
    if isinstance(expression, LogicalAndExpression | LogicalOrExpression):
        sides = (_negated(expression.left), _adopted(expression.right))
        return Condition(expression, sides, _OPERATORS[type(expression)])
    return Truth(_adopted(expression), expected=False)


def _value(expression: Expression, context: RenderContext) -> Value:
    return as_value(expression.evaluate(context))


def _equal(left: Expression, right: Expression, context: RenderContext) -> bool:
    for literal, other in ((left, right), (right, left)):
        matches = _LITERALS.get(type(literal))
        if matches is not None:
            return type(other) not in (Empty, Blank) and matches(_value(other, context))
    return equals(_value(left, context), _value(right, context))


def _is_nothing(value: Value) -> bool:
    return plain_text(value) == "" and not isinstance(value, str | list)


def _is_empty(value: Value) -> bool:
    return isinstance(value, str | list | dict) and not value


def _is_blank(value: Value) -> bool:
    if value is False or _is_nothing(value):
        return True
    return not value.strip(WHITESPACE) if isinstance(value, str) else _is_empty(value)


_LITERALS: Final[Mapping[type[Expression], Callable[[Value], bool]]] = {
    Nil: _is_nothing,
    Empty: _is_empty,
    Blank: _is_blank,
}


def _differ(left: Expression, right: Expression, context: RenderContext) -> bool:
    return not _equal(left, right, context)


def _ordered(
    of_texts: Callable[[str, str], bool], of_numbers: Callable[[float, float], bool]
) -> _Operator:
    def holds(left: Expression, right: Expression, context: RenderContext) -> bool:
        if type(left) in _LITERALS or type(right) in _LITERALS:
            return False
        one, other = (_primitive(_value(side, context)) for side in (left, right))
        if isinstance(one, str) and isinstance(other, str):
            return of_texts(one, other)
        return of_numbers(js_number(one), js_number(other))

    return holds


def _primitive(value: Value) -> Value:
    return plain_text(value) if isinstance(value, list | dict) else value


def _contains(left: Expression, right: Expression, context: RenderContext) -> bool:
    container, sought = _value(left, context), _value(right, context)
    if isinstance(container, list):
        return any(equals(item, sought) for item in container)
    if not isinstance(container, str):
        return False
    return ("null" if sought is None else plain_text(sought)) in container


def _both(left: Expression, right: Expression, context: RenderContext) -> bool:
    return is_true(_value(left, context)) and is_true(_value(right, context))


def _either(left: Expression, right: Expression, context: RenderContext) -> bool:
    return is_true(_value(left, context)) or is_true(_value(right, context))


_OPERATORS: Final[Mapping[type[Expression], _Operator]] = {
    EqExpression: _equal,
    NeExpression: _differ,
    LtExpression: _ordered(operator.lt, operator.lt),
    LeExpression: _ordered(operator.le, operator.le),
    GtExpression: _ordered(operator.gt, operator.gt),
    GeExpression: _ordered(operator.ge, operator.ge),
    ContainsExpression: _contains,
    LogicalAndExpression: _both,
    LogicalOrExpression: _either,
}

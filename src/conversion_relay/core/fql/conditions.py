"""A trigger as values: what the parser makes, the matcher asks and the printer writes.

Knows neither text nor events. Whatever `parse` gives can be asked and printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from conversion_relay.core.values import Path

Operand: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a value: `properties.total >= 10`.

    Attributes:
        path: from the event's root, such as ("properties", "total").
        operator: a key of the matcher's OPERATORS together with the operand's type.
        operand: what the field is compared with; None asks whether there is a value at all.
    """

    path: Path
    operator: str
    operand: Operand


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A field searched for a text: `!contains(event, "Test")`.

    Attributes:
        name: a key of the matcher's FUNCTIONS.
        path: from the event's root.
        text: as written, with the `*` of a match.
        negated: a `!` stands in front.
    """

    name: str
    path: Path
    text: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Two or more conditions joined by one word.

    Attributes:
        word: "and" or "or".
        members: in the order in which they are written.
    """

    word: str
    members: tuple[Condition, ...]


Condition: TypeAlias = Comparison | FunctionCall | Group

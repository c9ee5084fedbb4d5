"""What a filter is given beside its value, and how much work a template may still do.

Knows nothing of single filters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from liquid.exceptions import FilterArgumentError, ResourceLimitError

from conversion_relay.core.mapping.liquid.words import liquid_number, liquid_text
from conversion_relay.core.values import MISSING, JsonObject, Value

MAX_WORK_CHARACTERS = 1_000_000
"""How many characters one rendering may read and write in its filters and outputs.

It stands for the published limits of 500 ms and 100 MB: the core reads no clock, and a limit of
work gives the same answer on every machine.
"""


class Budget:
    """The work that one rendering may still do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK_CHARACTERS

    def spend(self, characters: int) -> None:
        """Takes work off the budget.

        Raises:
            ResourceLimitError: when not enough is left.
        """
        self.left -= characters
        if self.left < 0:
            raise ResourceLimitError(
                f"the template does more work than {MAX_WORK_CHARACTERS} characters", token=None
            )

    def spend_on(self, value: Value) -> None:
        """Takes off what it costs to read or write the value, at every level."""
        pending = [value]
        while pending:
            each = pending.pop()
            match each:
                case str():
                    self.spend(len(each))
                case list():
                    self.spend(len(each))
                    pending.extend(each)
                case dict():
                    self.spend(len(each))
                    pending.extend(each.values())
                case _:
                    pass


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one use of a filter.

    Attributes:
        given: by position.
        named: by name.
        event: what the template is rendered for.
        budget: what the rendering may still do.
    """

    given: tuple[Value, ...]
    named: dict[str, Value]
    event: JsonObject
    budget: Budget

    def at(self, index: int) -> Value:
        """An argument, or MISSING."""
        return self.given[index] if index < len(self.given) else MISSING

    def text(self, index: int, default: str = "") -> str:
        """An argument as text."""
        value = self.at(index)
        return default if value is MISSING else liquid_text(value)

    def number(self, index: int, default: float = 0) -> float:
        """An argument as a number."""
        value = self.at(index)
        return default if value is MISSING else liquid_number(value)


LiquidFilter: TypeAlias = Callable[[Value, Arguments], Value]


def unusable(sentence: str) -> FilterArgumentError:
    """The error of a filter that cannot do its work; the sentence holds no value of the event."""
    return FilterArgumentError(sentence, token=None)

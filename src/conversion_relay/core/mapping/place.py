"""Where the compiler is in a mapping, and how a problem is reported there.

Knows pointers and depth; not what any directive means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from conversion_relay.core.values import MISSING, Json, JsonObject, Value
from conversion_relay.errors import MappingError, MappingProblem

MAX_DEPTH = 100
"""How many levels of objects and lists a mapping may have."""

Payload: TypeAlias = "Value | Mapping[str, Json]"
Resolver: TypeAlias = Callable[[Payload], Value]


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a mapping while it is compiled.

    Attributes:
        pointer: JSON pointer of the place.
        depth: levels above it.
        keeping: whether the result tells a missing member from an absent one. The published code
            always does and tidies up at the end; here only those ask for it who see a difference.
        problems: all found so far, in the whole mapping.
        compile_value: makes the resolver of anything that may stand in a mapping.
        compile_root: the same for a mapping as a whole.
    """

    pointer: str
    depth: int
    keeping: bool
    problems: list[MappingProblem]
    compile_value: Callable[[Json, Place], Resolver]
    compile_root: Callable[[JsonObject, Place], Resolver]

    def below(self, key: str | int) -> Place:
        """The place of a member or an item."""
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return replace(self, pointer=f"{self.pointer}/{escaped}", depth=self.depth + 1)

    def keeping_missing(self) -> Place:
        """The same place, for a consumer to whom a missing member is not an absent one."""
        return replace(self, keeping=True)

    def dropping_missing(self) -> Place:
        """The same place, for a consumer to whom a missing member is an absent one."""
        return replace(self, keeping=False)

    def value(self, mapping: Json) -> Resolver:
        """The resolver of what stands here."""
        return self.compile_value(mapping, self)

    def member(self, options: JsonObject, key: str) -> Resolver:
        """The resolver of a directive's option; `nothing` where it is absent."""
        return self.below(key).value(options[key]) if key in options else nothing

    def report(self, sentence: str) -> Resolver:
        """Notes a problem; the resolver given back only keeps the compiler going."""
        self.problems.append(MappingProblem(self.pointer, sentence))
        return nothing


def nothing(_payload: Payload) -> Value:
    """Resolves to nothing at all."""
    return MISSING


def unresolvable(sentence: str) -> MappingError:
    """The error of a mapping that cannot be resolved for this event; whoever asked adds where."""
    return MappingError((MappingProblem("", sentence),))


def tolerating_missing(value: dict[str, Value] | list[Value]) -> Value:
    """The same value, for a place that keeps missing members until its consumer drops them."""
    return cast("Value", value)


def gaps_as_null(value: Value) -> Value:
    """The value with null for the missing items of the list that it is."""
    if not isinstance(value, list):
        return value
    items: list[Value] = [*value]
    return tolerating_missing([None if item is MISSING else item for item in items])


def without_missing(value: Value, gap: Value = None) -> Value:
    """The value with missing members of objects left out and `gap` for missing items of lists."""
    match value:
        case list():
            items: list[Value] = [without_missing(item, gap) for item in value]
            return tolerating_missing([gap if item is MISSING else item for item in items])
        case dict():
            members: dict[str, Value] = {
                key: without_missing(member, gap) for key, member in value.items()
            }
            return tolerating_missing(
                {key: member for key, member in members.items() if member is not MISSING}
            )
        case _:
            return value

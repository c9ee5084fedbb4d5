"""Where a template finds its variables and filters while it is rendered.

One context serves one rendering. It knows the event and what the template assigned, and nothing
else: the engine's own `now` and `today` read a clock and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Final

from liquid import BoundTemplate, RenderContext, Token
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap
from typing_extensions import override

from conversion_relay.core.mapping.liquid.arguments import Arguments, Budget, LiquidFilter
from conversion_relay.core.mapping.liquid.filters import FILTERS
from conversion_relay.core.mapping.liquid.words import as_value, key_text
from conversion_relay.core.values import MISSING, Json, JsonObject, Value, follow, utf16_length


class EventContext(RenderContext):
    """Variables are what the template assigned, its counters, then the members of the event."""

    __slots__ = ("budget", "event")

    def __init__(self, template: BoundTemplate, event: JsonObject) -> None:
        super().__init__(template)
        self.event = event
        self.budget = Budget()
        self.scope = ReadOnlyChainMap(self.locals, self.counters, event)

    @override
    def get(
        self, path: list[object], *, token: Token | None, default: object = UNDEFINED
    ) -> object:
        first, *others = path
        found = as_value(self.scope.get(str(first), MISSING))
        for key in others:
            found = _member(found, as_value(key))
        return default if found is MISSING and default is not UNDEFINED else found

    @override
    def filter(self, name: str, token: Token | None) -> partial[object]:
        return partial(self._apply, FILTERS[name])

    def _apply(
        self, apply: LiquidFilter, found: object, *given: object, **named: object
    ) -> object:
        value = as_value(found)
        arguments = Arguments(
            tuple(as_value(each) for each in given),
            {name: as_value(each) for name, each in named.items()},
            self.event,
            self.budget,
        )
        for each in chain((value,), arguments.given):
            self.budget.spend_on(each)
        return apply(value, arguments)

    @override
    def increment(self, name: str) -> int:
        value = self._counter(name)
        self.counters[name] = value + 1
        return value

    @override
    def decrement(self, name: str) -> int:
        self.counters[name] = self._counter(name) - 1
        return self.counters[name]

    def _counter(self, name: str) -> int:
        """A counter begins at the event's number of that name, or at 0; that is left alone."""
        start = self.event.get(name)
        if not isinstance(start, int) or isinstance(start, bool):
            start = 0
        return self.counters.get(name, start)


def _member(container: Value, key: Value) -> Value:
    if isinstance(container, list):
        return _item(container, key)
    name = key_text(key)
    match container:
        case dict():
            return container.get(name, len(container) if name == "size" else MISSING)
        case str():
            size = name == "size"
            return utf16_length(container) if size else follow(container or MISSING, (name,))
        case _:
            return None if container is None else MISSING


def _item(items: list[Json], key: Value) -> Value:
    """By position, also from the end, or by one of the names a list answers to."""
    name = key_text(key)
    if name == "size":
        return len(items)
    position = _ENDS.get(name, key)
    if not isinstance(position, int | float) or isinstance(position, bool):
        return follow(items, (name,))
    index = int(position)
    return items[index] if index == position and -len(items) <= index < len(items) else MISSING


_ENDS: Final[Mapping[str, int]] = {"first": 0, "last": -1}

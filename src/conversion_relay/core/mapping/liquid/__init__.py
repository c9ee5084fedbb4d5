"""The directive @liquid: templates in Shopify's language, parsed once and rendered per event.

Answers as liquidjs does inside Segment's mapping kit, with its limits and without what it
disables. Knows how a template is checked; the language itself is in the other modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from liquid import BoundTemplate
from liquid.exceptions import LiquidError

from conversion_relay.core.mapping.liquid.environment import ENVIRONMENT, render
from conversion_relay.core.mapping.liquid.filters import DISABLED_FILTERS, FILTERS
from conversion_relay.core.mapping.place import (
    Payload,
    Place,
    Resolver,
    nothing,
    unresolvable,
)
from conversion_relay.core.values import Json, JsonObject, Value, json_type, utf16_length

MAX_TEMPLATE_CHARACTERS = 1000


def compile_liquid(operand: Json, place: Place) -> Resolver:
    """The text that a liquid template makes of the payload."""
    if not isinstance(operand, str):
        return place.report(f"@liquid takes a template, this is {json_type(operand)}")
    length = utf16_length(operand)
    if length > MAX_TEMPLATE_CHARACTERS:
        return place.report(
            f"the template has {length} characters, at most {MAX_TEMPLATE_CHARACTERS} are allowed"
        )
    template = _parsed(operand, place)
    return nothing if template is None else _rendering(template)


def _parsed(source: str, place: Place) -> BoundTemplate | None:
    try:
        template = ENVIRONMENT.from_string(source)
        names = template.analyze(include_partials=False).filters
    except LiquidError as error:
        place.report(f"the template cannot be read: {error.message}{_where(error)}")
        return None
    sentences = list(_unusable_filters(names))
    for sentence in sentences:
        place.report(sentence)
    return None if sentences else template


def _where(error: LiquidError) -> str:
    context = None if error.token is None else error.context()
    return "" if context is None else f" (line {context[0]}, column {context[1] + 1})"


def _unusable_filters(names: Mapping[str, object]) -> Iterator[str]:
    for name in names:
        if name in DISABLED_FILTERS:
            yield f'the filter "{name}" is disabled'
        elif name not in FILTERS:
            closest = get_close_matches(name, FILTERS, n=1, cutoff=0.0)[0]
            yield f'"{name}" is no filter; the closest is "{closest}"'


def _rendering(template: BoundTemplate) -> Resolver:
    def resolve(payload: Payload) -> Value:
        event: JsonObject = dict(payload) if isinstance(payload, Mapping) else {}
        try:
            return render(template, event)
        except LiquidError as error:
            raise unresolvable(f"the template cannot be rendered: {error.message}") from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # The engine lets these through; their texts may hold values of the event.
            raise unresolvable(
                f"the template cannot be rendered: {type(error).__name__}"
            ) from error

    return resolve

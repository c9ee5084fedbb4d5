"""Directives that rewrite one value: @case, @replace and @json."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from conversion_relay.core.mapping.options import (
    flag,
    one_of,
    options_of,
    required,
    short_text,
    text_or_directive,
)
from conversion_relay.core.mapping.place import (
    Payload,
    Place,
    Resolver,
    nothing,
    unresolvable,
)
from conversion_relay.core.mapping.text import folded, is_truthy, json_text, plain_text, read_json
from conversion_relay.core.values import MISSING, Json, JsonObject, Missing, Value, json_type

MAX_PATTERN_CHARACTERS = 10
MAX_REPLACEMENT_CHARACTERS = 10

_SPECIAL = re.compile(r"\$([$&`'])")
_CASES: Final[Mapping[str, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


def compile_case(operand: Json, place: Place) -> Resolver:
    """The value in lower or upper case; what is no text stays as it is."""
    options = options_of("@case", operand, place)
    if options is None or not required("@case", options, ["operator"], place):
        return nothing
    operator, value = options["operator"], options.get("value", "")
    if not isinstance(operator, str):
        return place.below("operator").report(
            f'"operator" of @case is {json_type(operator)}, expected "lower" or "upper"'
        )
    if not text_or_directive("@case", value, place.below("value")) or value == "":
        return nothing
    change = _CASES.get(operator)
    wrong = f'"operator" of @case is "{operator}", expected "lower" or "upper"'
    if change is None and isinstance(value, str):
        return place.below("operator").report(wrong)
    source = place.below("value").value(value)

    def resolve(payload: Payload) -> Value:
        found = source(payload)
        if not isinstance(found, str):
            return found
        if change is None:
            raise unresolvable(wrong)
        return change(found)

    return resolve


@dataclass(frozen=True, slots=True)
class Replacement:
    """One text for another, as String.replace() does it with an escaped pattern.

    Attributes:
        pattern: what is looked for, taken literally.
        substitute: what is put there; $$, $&, $` and $' keep their meaning of JavaScript.
        everywhere: at every occurrence or only the first.
        any_case: upper and lower case are the same.
    """

    pattern: str
    substitute: str
    everywhere: bool
    any_case: bool

    def apply(self, text: str) -> str:
        """The text with its occurrences replaced."""
        if "$" not in self.substitute and not self.any_case:
            return text.replace(self.pattern, self.substitute, -1 if self.everywhere else 1)
        searched = folded(text) if self.any_case else text
        pattern = folded(self.pattern) if self.any_case else self.pattern
        pieces: list[str] = []
        start = 0
        while (found := searched.find(pattern, start)) >= 0:
            end = found + len(pattern)
            pieces += (text[start:found], self._expanded(text, found, end))
            start = end
            if not self.everywhere:
                break
        return "".join((*pieces, text[start:]))

    def _expanded(self, text: str, start: int, end: int) -> str:
        meanings = {"$": "$", "&": text[start:end], "`": text[:start], "'": text[end:]}
        return _SPECIAL.sub(lambda match: meanings[match[1]], self.substitute)


def compile_replace(operand: Json, place: Place) -> Resolver:
    """The value as text with one or two literal patterns replaced; "" for what is no text."""
    options = options_of("@replace", operand, place)
    if options is None:
        return nothing
    replacements = _replacements(options, place)
    if "value" not in options:
        return place.report('@replace requires a "value", which is missing')
    value = options["value"]
    if not text_or_directive("@replace", value, place.below("value")) or value == "":
        return nothing
    source = place.below("value").dropping_missing().value(value)

    def resolve(payload: Payload) -> Value:
        found = source(payload)
        if not isinstance(found, str | bool | int | float):
            return ""
        text = plain_text(found)
        for replacement in replacements:
            text = replacement.apply(text)
        return text

    return resolve


def _replacements(options: JsonObject, place: Place) -> tuple[Replacement, ...]:
    name = "@replace"
    any_case = flag(name, options, "ignorecase", place, default=False)
    everywhere = flag(name, options, "global", place, default=True)
    substitute = short_text(name, options, "replacement", place, MAX_REPLACEMENT_CHARACTERS)
    pattern = short_text(name, options, "pattern", place, MAX_PATTERN_CHARACTERS)
    if not is_truthy(options.get("pattern", MISSING)):
        required(name, options, ["pattern"], place)
        return ()
    first = Replacement(pattern, substitute, everywhere, any_case)
    return first, *_second_replacement(options, first, place)


def _second_replacement(
    options: JsonObject, first: Replacement, place: Place
) -> tuple[Replacement, ...]:
    """None where pattern2 is empty, or one of the two is no text: so the published code."""
    pattern, substitute = options.get("pattern2"), options.get("replacement2")
    if not isinstance(pattern, str) or not pattern:
        return ()
    if substitute is not None and not isinstance(substitute, str):
        return ()
    given = {**options, "replacement2": substitute or ""}
    return (
        replace(
            first,
            pattern=short_text("@replace", given, "pattern2", place, MAX_PATTERN_CHARACTERS),
            substitute=short_text(
                "@replace", given, "replacement2", place, MAX_REPLACEMENT_CHARACTERS
            ),
        ),
    )


def compile_json(operand: Json, place: Place) -> Resolver:
    """The value as JSON text (encode), or the value that JSON text stands for (decode)."""
    options = options_of("@json", operand, place)
    if options is None:
        return nothing
    mode = one_of("@json", options, "mode", place, ("encode", "decode"))
    if not required("@json", options, ["value"], place):
        return nothing
    where = place.below("value")
    if mode == "encode":
        encoded = where.dropping_missing().value(options["value"])
        return lambda payload: json_text(encoded(payload))
    source = where.value(options["value"])

    def decode(payload: Payload) -> Value:
        value = source(payload)
        if not isinstance(value, str):
            return value
        decoded = read_json(value)
        return value if isinstance(decoded, Missing) else decoded

    return decode

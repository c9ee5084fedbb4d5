"""From a mapped payload to one that an action can use: clean, coerce, check.

Follows what Segment's published actions do after the mapping (npm, read 2026-11-21): empty values
are dropped, values are coerced to the type of their field as JavaScript would, unknown keys go.
Knows no partner, and not what becomes of a warning or a rejection. The input is never changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from conversion_relay.core.destination import Field, FieldProblem, FieldType
from conversion_relay.core.values import (
    MISSING,
    Json,
    JsonObject,
    Value,
    json_type,
    number_text,
    read_number,
)

Problems: TypeAlias = list[FieldProblem]
Coerce: TypeAlias = Callable[[Json, str, Problems], Value]
"""(value, path of the parent with its dot, problems found so far) → what is kept of the value."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A payload after the check.

    Attributes:
        payload: what is usable, coerced; nothing in it is null or empty.
        warnings: optional fields, or items of lists, that were left out.
        rejections: required or decisive fields that are missing or not usable.
    """

    payload: JsonObject
    warnings: tuple[FieldProblem, ...] = ()
    rejections: tuple[FieldProblem, ...] = ()


class Checker:
    """The fields of an action, compiled once: `Checker(action.fields).check(payload)`."""

    __slots__ = ("_children", "_decisive", "_required")

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._children = {field.key: _compile(field, field.key) for field in fields}
        self._required = _requirements(fields)
        self._decisive = tuple(field.key for field in fields if field.decisive)

    def check(self, payload: JsonObject) -> Checked:
        """What is usable of the payload, with what is wrong with the rest."""
        problems: Problems = []
        kept = _known(payload, self._children, "", problems)
        missing = _missing(self._required, payload, kept, problems, "")
        if not missing and not problems:
            return Checked(kept)
        needed = (*missing, *self._decisive)
        rejections = [problem for problem in problems if _lies_in(problem.field, needed)]
        explained = {problem.field.partition(".")[0] for problem in rejections}
        rejections += [_is_missing(key) for key in missing if key not in explained]
        warnings = [problem for problem in problems if not _lies_in(problem.field, needed)]
        return Checked(kept, tuple(warnings), tuple(rejections))


def _compile(field: Field, name: str) -> Coerce:
    if field.multiple:
        return _list(_single(field, ""), name)
    return _single(field, name)


def _single(field: Field, name: str) -> Coerce:
    if field.type is FieldType.OBJECT:
        return _object(field.properties, name)
    general = _scalar(field, name)
    if field.rule is not None:
        return general
    shortcut = _SHORTCUTS.get(field.type)
    return shortcut(general, frozenset(field.choices)) if shortcut else general


def _scalar(field: Field, name: str) -> Coerce:
    convert, expected = _CONVERSIONS[field.type]

    def coerce(value: Json, parent: str, problems: Problems) -> Value:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is None or value == "":
            return MISSING
        converted = convert(value)
        if converted is None:
            reason: str | None = f"must be {expected}, it is {_found(value)}"
        else:
            reason = _broken(field, converted)
        if reason is not None:
            problems.append(FieldProblem(parent + name, reason))
        return converted if reason is None else MISSING

    return coerce


def _text_shortcut(general: Coerce, choices: frozenset[str]) -> Coerce:
    """The same, faster for what is right already: nearly every value there is."""

    def coerce(value: Json, parent: str, problems: Problems) -> Value:
        if type(value) is str and value.isascii() and (not choices or value in choices):
            return value or MISSING
        return general(value, parent, problems)

    return coerce


def _number_shortcut(general: Coerce, _choices: frozenset[str]) -> Coerce:
    def coerce(value: Json, parent: str, problems: Problems) -> Value:
        if type(value) is int and -_EXACT_INTEGER < value < _EXACT_INTEGER:
            return value
        if type(value) is float and value % 1 and math.isfinite(value):
            return value
        return general(value, parent, problems)

    return coerce


def _broken(field: Field, value: Json) -> str | None:
    """What is wrong with a value of the right type, or None."""
    if field.choices and value not in field.choices:
        return f"must be one of: {', '.join(field.choices)}"
    return field.rule(value) if field.rule else None


def _object(properties: tuple[Field, ...], name: str) -> Coerce:
    children = {field.key: _compile(field, field.key) for field in properties}
    required = _requirements(properties)

    def coerce(value: Json, parent: str, problems: Problems) -> Value:
        if not isinstance(value, dict):
            if value is not None and value != "":
                reason = f"must be an object, it is {_found(value)}"
                problems.append(FieldProblem(parent + name, reason))
            return MISSING
        if not children or not value:
            return value or MISSING
        inside = f"{parent}{name}."
        kept = _known(value, children, inside, problems)
        missing = _missing(required, value, kept, problems, inside) if required else ()
        problems.extend(_is_missing(inside + key) for key in missing)
        return MISSING if missing else kept or MISSING

    return coerce


def _list(coerce_item: Coerce, name: str) -> Coerce:
    def coerce(value: Json, parent: str, problems: Problems) -> Value:
        items = value if isinstance(value, list) else [value]
        kept: list[Json] = []
        for index, item in enumerate(items):
            coerced = coerce_item(item, f"{parent}{name}.{index}", problems)
            if coerced is not MISSING:
                kept.append(coerced)
        return kept or MISSING

    return coerce


def _known(
    given: Mapping[str, Json], children: Mapping[str, Coerce], inside: str, problems: Problems
) -> JsonObject:
    kept: JsonObject = {}
    for key, value in given.items():
        coerce = children.get(key)
        if coerce is not None:
            coerced = coerce(value, inside, problems)
            if coerced is not MISSING:
                kept[key] = coerced
    return kept


_Requirement: TypeAlias = tuple[str, tuple[str, str] | None]


def _requirements(fields: Iterable[Field]) -> tuple[_Requirement, ...]:
    return tuple(
        (field.key, None if field.required else field.required_when)
        for field in fields
        if field.required or field.required_when
    )


def _missing(
    requirements: Iterable[_Requirement],
    given: Mapping[str, Json],
    kept: JsonObject,
    problems: Problems,
    inside: str,
) -> tuple[str, ...]:
    """The required keys that are not usable; an object that is merely empty is there."""
    return tuple(
        key
        for key, condition in requirements
        if key not in kept
        and (condition is None or kept.get(condition[0]) == condition[1])
        and not (
            isinstance(given.get(key), dict)
            and not any(_lies_in(problem.field, (inside + key,)) for problem in problems)
        )
    )


def _lies_in(path: str, keys: Iterable[str]) -> bool:
    return any(path == key or path.startswith(f"{key}.") for key in keys)


def _is_missing(path: str) -> FieldProblem:
    return FieldProblem(path, "is required, it is missing")


def _found(value: Json) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else json_type(value)


_EXACT_INTEGER: Final = 2**53
_INTEGER_BITS: Final = 63


def _text(value: Json) -> Json:
    if isinstance(value, str):
        return value if value.isascii() else _well_formed(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, int | float) else None


def _well_formed(text: str) -> str:
    """The text with lone surrogates replaced, so that it can always be written as UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: Json) -> Json:
    """A finite number, whole ones as integers; None when it is none.

    Strings are read as JavaScript's unary plus reads them, except that white space is no zero.
    """
    number = read_number(value.strip()) if isinstance(value, str) else value
    if isinstance(number, float):
        return _finite(number)
    return _whole(int(number)) if isinstance(number, int) else None


def _whole(number: int) -> Json:
    if number.bit_length() <= _INTEGER_BITS:
        return number
    try:
        return float(number)
    except OverflowError:
        return None


def _finite(number: float) -> Json:
    if not math.isfinite(number):
        return None
    if number.is_integer() and abs(number) <= _EXACT_INTEGER:
        return int(number)
    return number


def _integer(value: Json) -> Json:
    number = _number(value)
    return None if isinstance(number, float) and not number.is_integer() else number


def _boolean(value: Json) -> Json:
    return _BOOLEANS.get(value) if isinstance(value, str | int | float) else None


_BOOLEANS: Final[Mapping[str | float, bool]] = {"true": True, "false": False, 1: True, 0: False}

_CONVERSIONS: Final[Mapping[FieldType, tuple[Callable[[Json], Json], str]]] = {
    FieldType.STRING: (_text, "a string"),
    FieldType.NUMBER: (_number, "a finite number"),
    FieldType.INTEGER: (_integer, "a whole number"),
    FieldType.BOOLEAN: (_boolean, "true or false"),
}

_SHORTCUTS: Final[Mapping[FieldType, Callable[[Coerce, frozenset[str]], Coerce]]] = {
    FieldType.STRING: _text_shortcut,
    FieldType.NUMBER: _number_shortcut,
}

"""The options of a directive: what must stand there, and the sentence when something else does.

Knows how options are checked; not what a directive does with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from conversion_relay.core.mapping.place import Place
from conversion_relay.core.mapping.text import is_truthy, json_text
from conversion_relay.core.values import MISSING, Json, JsonObject, json_type, utf16_length


def options_of(name: str, operand: Json, place: Place) -> JsonObject | None:
    """The options as an object without a directive of its own; None when a problem was noted."""
    if not isinstance(operand, dict):
        place.report(f"{name} takes an object of options, this is {json_type(operand)}")
        return None
    directive = next((key for key in operand if key.startswith("@")), None)
    if directive is not None:
        place.report(
            f'{name} takes an object of options, "{directive}" is a directive; '
            "it may stand only as the value of an option"
        )
        return None
    return operand


def required(name: str, options: JsonObject, keys: Sequence[str], place: Place) -> bool:
    """Whether all the options are there and not empty; each that is not becomes a problem."""
    absent = [key for key in keys if not is_truthy(options.get(key, MISSING))]
    for key in absent:
        if key in options:
            found = json_text(options[key])
            place.below(key).report(f'"{key}" of {name} is {found}, which counts as nothing')
        else:
            place.report(f'{name} requires a "{key}", which is missing')
    return not absent


def text_or_directive(name: str, value: Json, place: Place) -> bool:
    """Whether a string or a directive stands here; what else does becomes a problem."""
    if isinstance(value, str) or is_directive(value):
        return True
    place.report(f"{name} takes a string or a directive, this is {json_type(value)}")
    return False


def object_or_directive(name: str, value: Json, place: Place) -> bool:
    """Whether an object or a directive stands here; what else does becomes a problem."""
    if isinstance(value, dict):
        return True
    place.report(f"{name} takes an object or a directive, this is {json_type(value)}")
    return False


def is_directive(value: Json) -> bool:
    """Whether the value is meant as a directive: an object with a key that begins with @."""
    return isinstance(value, dict) and any(key.startswith("@") for key in value)


def short_text(name: str, options: JsonObject, key: str, place: Place, limit: int) -> str:
    """An optional string of at most so many characters; "" when absent or a problem."""
    value = options.get(key, "")
    if not isinstance(value, str):
        place.below(key).report(f'"{key}" of {name} is {json_type(value)}, expected a string')
        return ""
    if utf16_length(value) > limit:
        place.below(key).report(
            f'"{key}" of {name} has {utf16_length(value)} characters, at most {limit} are allowed'
        )
        return ""
    return value


def flag(name: str, options: JsonObject, key: str, place: Place, default: object) -> bool:
    """An optional true or false."""
    value = options.get(key, default)
    if not isinstance(value, bool):
        place.below(key).report(f'"{key}" of {name} is {json_type(value)}, expected true or false')
        return False
    return value


def one_of(name: str, options: JsonObject, key: str, place: Place, words: Sequence[str]) -> str:
    """A required option that is one of the words; the first word when a problem was noted."""
    value = options.get(key, MISSING)
    if isinstance(value, str) and value in words:
        return value
    found = f'"{value}"' if isinstance(value, str) else json_type(value)
    expected = " or ".join(f'"{word}"' for word in words)
    where = place.below(key) if key in options else place
    where.report(f'"{key}" of {name} is {found}, expected {expected}')
    return words[0]

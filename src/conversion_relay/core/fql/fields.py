"""The fields a trigger may name, and what may be compared with each.

Knows no order of tokens: the parser hands over the pieces and says where each one stood.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.fql.conditions import Operand
from conversion_relay.core.values import Path, number_text


@dataclass(frozen=True, slots=True)
class Field:
    """What can stand at the beginning of a path.

    Attributes:
        has_keys: keys follow it, as in properties.total; it cannot stand alone.
        read_as_text: types of operand that `=` and `!=` compare with the field as text.
    """

    has_keys: bool
    read_as_text: tuple[type, ...]


_NAME: Final = Field(has_keys=False, read_as_text=(int, float, bool))
_OBJECT: Final = Field(has_keys=True, read_as_text=())

FIELDS: Final[Mapping[str, Field]] = {
    "type": _NAME,
    "event": _NAME,
    "name": _NAME,
    "userId": Field(has_keys=False, read_as_text=(int, float)),
    "properties": _OBJECT,
    "traits": _OBJECT,
    "context": _OBJECT,
}

_PARTS: Final = re.compile(r"(?:[^.\\]|\\.)++(?:\.(?:[^.\\]|\\.)++)*+", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
# As published, an escaped dot or bracket parts keys too: products\[0\] is products.0.
_KEY: Final = re.compile(r"[^.\[\]]+")


def path_of(word: str) -> Path | None:
    """The path that a word names, without its backslashes; None if a dot has no key behind it."""
    if not _PARTS.fullmatch(word):
        return None
    root, _, keys = _ESCAPE.sub(r"\1", word).partition(".")
    return (root, *_KEY.findall(keys))


def problem_of(path: Path, functions: tuple[str, ...]) -> str | None:
    """What is wrong with the path as a field, for a person; None if it can be used."""
    root, *keys = path
    field = FIELDS.get(root)
    if field is None:
        names = (*FIELDS, *functions)
        return (
            f"is neither a field ({', '.join(FIELDS)}) nor a function ({', '.join(functions)})"
            f"{_suggestion(root, names)}"
        )
    if field.has_keys and not keys:
        return f"needs a key behind it, such as {root}.category"
    if keys and not field.has_keys:
        return f"has no keys; write {root}, or properties.{'.'.join(keys)}"
    return None


_INSTEAD: Final = {
    "not": "a ! stands before contains or match, elsewhere write != instead of =",
    "startswith": 'write match(event, "Order*")',
    "endswith": 'write match(event, "*Order")',
}


def _suggestion(word: str, names: tuple[str, ...]) -> str:
    if instead := _INSTEAD.get(word.lower().replace("_", "")):
        return f"; {instead}"
    by_small_letters = {name.lower(): name for name in names}
    closest = difflib.get_close_matches(word[:40].lower(), by_small_letters, n=1, cutoff=0.6)
    return f"; did you mean {by_small_letters[closest[0]]}?" if closest else ""


def as_text(operand: bool | float) -> str:  # noqa: FBT001 - an operand, not a switch
    """The operand as the published code compares it with a field that holds text."""
    if isinstance(operand, bool):
        return "true" if operand else "false"
    return number_text(operand)


def fitted(root: str, operand: Operand) -> Operand:
    """The operand as `=` and `!=` compare it with that field."""
    if isinstance(operand, bool | int | float) and type(operand) in FIELDS[root].read_as_text:
        return as_text(operand)
    return operand

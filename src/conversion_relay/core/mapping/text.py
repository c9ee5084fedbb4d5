"""What JavaScript does with text and truth, where the mapping language depends on it.

Knows the rules of ECMA-262 that show in the results of a mapping; nothing of mappings or events.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from conversion_relay.core.values import MISSING, Json, Missing, Value, number_text

WHITESPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What String.prototype.trim() removes."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_MAX_INDEX = 2**32 - 2


def plain_text(value: Value | Mapping[str, Json]) -> str:
    """The value as String() writes it, except that null and a missing value are ""."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case None | Missing():
            return ""
        case list():
            return ",".join(plain_text(item) for item in value)
        case _:
            return "[object Object]"


def is_truthy(value: Value) -> bool:
    """Whether JavaScript takes the value for true: empty lists and objects are."""
    return isinstance(value, list | dict) or bool(value)


def equals_empty_text(value: Value) -> bool:
    """Whether `value == ""` holds in JavaScript, with its conversions: 0, false and [] do."""
    if isinstance(value, list):
        return plain_text(value) == ""
    return value in ("", 0)


def entries(mapping: Mapping[str, Json]) -> Iterator[tuple[str, Value]]:
    """The entries in the order of Object.entries(): whole numbers first and ascending."""
    indices = sorted((key for key in mapping if _is_index(key)), key=int)
    yield from ((key, mapping[key]) for key in indices)
    yield from (entry for entry in mapping.items() if not _is_index(entry[0]))


def _is_index(key: str) -> bool:
    return key[:1].isdigit() and _INDEX.match(key) is not None and int(key) <= _MAX_INDEX


def json_text(value: Value, gap: str = "") -> str | Missing:
    """What JSON.stringify() writes, indented by the gap; MISSING for a missing value."""
    return value if isinstance(value, Missing) else _json_text(value, gap, "\n" if gap else "")


def _json_text(value: Value, gap: str, line: str) -> str:
    """The value, of which each line after the first begins as `line` says."""
    match value:
        case None | Missing():
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            finite = isinstance(value, int) or math.isfinite(value)
            return number_text(value) if finite else "null"
        case str():
            return _json_string(value)
        case list():
            items = [_json_text(item, gap, line + gap) for item in value]
            return f"[{_lines(items, gap, line)}]"
        case dict():
            colon = ": " if gap else ":"
            members = [
                f"{_json_string(key)}{colon}{_json_text(member, gap, line + gap)}"
                for key, member in entries(value)
                if member is not MISSING
            ]
            return f"{{{_lines(members, gap, line)}}}"


def _lines(parts: list[str], gap: str, line: str) -> str:
    inner = line + gap
    return f"{inner}{f',{inner}'.join(parts)}{line}" if parts else ""


def _json_string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    if written.isascii():
        return written
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", written)


def read_json(text: str) -> Value:
    """The value JSON.parse() reads, or MISSING where the text is not JSON."""
    try:
        value: Json = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=dict
        )
    except (ValueError, RecursionError):
        return MISSING
    return value


def _refuse(name: str) -> float:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def folded(text: str) -> str:
    """The text as a case-insensitive regular expression (without the flag u) compares it.

    Every character stands for itself or for one other, so positions stay what they are.
    """
    return text.upper() if text.isascii() else "".join(map(_folded_character, text))


def _folded_character(character: str) -> str:
    upper = character.upper()
    beyond = character > "\uffff" or (character > "\x7f" and upper <= "\x7f")
    return character if len(upper) != 1 or beyond else upper


def without_surrogates(text: str) -> str:
    """The text with each half of a broken pair replaced, as when JavaScript writes UTF-8."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)

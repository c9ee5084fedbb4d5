"""An event as those may see it who may see nothing personal: its structure, its values masked.

What is shown is a list of places, and of what a value there has to look like; everything else
becomes a word on what kind of value it is. Knows no HTTP and no store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS
from conversion_relay.core.values import Json, JsonObject

MASK: Final = "•••"
_DEEPEST: Final = 64
_LARGEST_NUMBER: Final = 1e15
_ADDRESS_SIGN: Final = "@"
_CLASSES: Final = (8, 16, 32, 64, 256)
_KEY: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.:-]{0,39}", re.ASCII)
_MANY_DIGITS: Final = re.compile(r"\d{5}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", re.ASCII)
_DIGITS: Final = re.compile(r"-?\d{1,12}(?:[.,]\d{1,6})?", re.ASCII)
_LETTERS: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?[Z+\d:-]{0,6}", re.ASCII
)
Shows: TypeAlias = Callable[[Json], bool]
"""Whether a value may be shown where it stands."""
_Place: TypeAlias = tuple[str, ...]


def _figure(value: Json) -> bool:
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST_NUMBER


def _matching(pattern: re.Pattern[str]) -> Shows:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _name(value: Json) -> bool:
    """What stands beside it in every listing as well."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_MESSAGE_ID_CHARACTERS
        and name_shown(value) == value
    )


_currency, _moment = _matching(_LETTERS), _matching(_MOMENT)


def _code(value: Json) -> bool:
    """An id or a word of a shop's own; what looks like a hash may be one of a person."""
    if isinstance(value, str):
        return _CODE.fullmatch(value) is not None and not _HASH.fullmatch(value)
    return _figure(value)


def _when(value: Json) -> bool:
    return _figure(value) if not isinstance(value, str) else _moment(value)


def _truth(value: Json) -> bool:
    return isinstance(value, bool)


_GOODS: Final[Mapping[str, Shows]] = {
    **dict.fromkeys(("price", "quantity", "value", "discount", "position"), _figure),
    **dict.fromkeys(("product_id", "content_id", "sku", "content_type"), _code),
    "currency": _currency,
}
_SUMS: Final = ("revenue", "total", "subtotal", "tax", "shipping", "num_items", "predicted_ltv")
SHOWN: Final[Mapping[_Place, Mapping[str, Shows]]] = {
    (): {
        **dict.fromkeys(("type", "event", "messageId", "event_id"), _name),
        **dict.fromkeys(("timestamp", "sentAt", "receivedAt", "originalTimestamp"), _when),
        "event_time": _when,
        "limited_data_use": _truth,
    },
    ("properties",): {**_GOODS, **dict.fromkeys(_SUMS, _figure), "content_ids": _code},
    ("properties", "products"): _GOODS,
    ("properties", "contents"): _GOODS,
}
"""Every place with keys whose values are shown, if they look as they should; lists are passed."""


@dataclass(frozen=True, slots=True)
class _Here:
    """Where a value stands.

    Attributes:
        place: the keys above it, lists left out.
        shows: what may be shown there; None: nothing.
        depth: so many objects and lists are around it.
    """

    place: _Place = ()
    shows: Shows | None = None
    depth: int = 0

    def under(self, key: str) -> _Here:
        """Inside an object."""
        shows = SHOWN.get(self.place, {}).get(key)
        return _Here((*self.place, key), shows, self.depth + 1)

    def inside(self) -> _Here:
        """Inside a list."""
        return _Here(self.place, self.shows, self.depth + 1)


def name_shown(name: str) -> str:
    """A name or messageId as every listing has it: what could be somebody's address is masked."""
    return described(name) if _ADDRESS_SIGN in name else name


def masked(value: Json) -> Json:
    """The value with its structure and its keys, and of its leaves only those that are SHOWN."""
    return _masked(value, _Here())


def _masked(value: Json, here: _Here) -> Json:
    if here.depth > _DEEPEST:
        return f"{MASK} deeper"
    if isinstance(value, dict):
        return _object(value, here)
    if isinstance(value, list):
        return [_masked(one, here.inside()) for one in value]
    if value is None or (here.shows is not None and here.shows(value)):
        return value
    return described(value)


def _object(value: JsonObject, here: _Here) -> JsonObject:
    """A key may be somebody's address too, and two such keys stay two."""
    found: JsonObject = {}
    for number, (key, inner) in enumerate(value.items(), 1):
        name = key if _may_be_read(key) else f"{MASK} key {number}"
        found[name] = _masked(inner, here.under(key))
    return found


def _may_be_read(key: str) -> bool:
    if _MANY_DIGITS.search(key) or _HASH.fullmatch(key):
        return False
    return _KEY.fullmatch(key) is not None


def described(value: bool | float | str) -> str:  # noqa: FBT001 - it is a value of an event
    """What kind of value it is, and how long about; nothing of the value itself."""
    if isinstance(value, bool):
        return f"{MASK} true or false"
    if not isinstance(value, str):
        return f"{MASK} number"
    if _HASH.fullmatch(value):
        return f"{MASK} hash"
    length = len(value)
    most = next((one for one in _CLASSES if length <= one), None)
    if not length:
        return f"{MASK} empty text"
    return f"{MASK} text, up to {most}" if most else f"{MASK} text, more than {_CLASSES[-1]}"

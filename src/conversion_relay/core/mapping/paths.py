"""Paths: how they are written, and the quickest way along them.

Knows the notation of Segment's published library; not which directive uses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from conversion_relay.core.mapping.place import Payload, Resolver
from conversion_relay.core.values import MISSING, Path, Value, follow

_SEPARATOR = re.compile(r"""\[(?=["'0-9])|\.|(?<=["'0-9])\]+""")
_QUOTES = str.maketrans("", "", "'\"")


def parse_path(text: str) -> Path:
    """The keys of a path such as `properties.items[0].name`; none for "" and ".".

    A dot separates even inside quotes, as in the published library.
    """
    return tuple(key.translate(_QUOTES) for key in _SEPARATOR.split(text) if key)


def without_root(text: str) -> str:
    """The path without its `$.`; the published code removes the first wherever it stands."""
    return text.replace("$.", "", 1)


def path_resolver(path: Path) -> Resolver:
    """What stands at the path in the payload."""
    match path:
        case ():
            return _whole
        case (key,):
            return _one_step(key)
        case (first, second):
            return _two_steps(first, second)
        case _:
            return _many_steps(path)


def _whole(payload: Payload) -> Value:
    return dict(payload) if isinstance(payload, Mapping) else payload


def _one_step(key: str) -> Resolver:
    path = (key,)

    def resolve(payload: Payload) -> Value:
        if type(payload) is dict:
            return payload.get(key, MISSING)
        return follow(payload, path)

    return resolve


def _two_steps(first: str, second: str) -> Resolver:
    path = (first, second)

    def resolve(payload: Payload) -> Value:
        if type(payload) is not dict:
            return follow(payload, path)
        inner = payload.get(first, MISSING)
        if type(inner) is dict:
            return inner.get(second, MISSING)
        return follow(inner, path[1:])

    return resolve


def _many_steps(path: Path) -> Resolver:
    def resolve(payload: Payload) -> Value:
        current = payload
        for key in path:
            if type(current) is dict:
                current = current.get(key, MISSING)
            elif current is MISSING:
                return MISSING
            else:
                return follow(payload, path)
        return current  # type: ignore[return-value]  # a path of several steps left the root

    return resolve

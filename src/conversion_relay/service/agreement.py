"""What parts of a configuration must agree on: routes lead somewhere, a write key has one owner.

Looks at the tree as it was read, so that this is said beside whatever else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.complaints import called_in_file, did_you_mean
from conversion_relay.service.toml_lines import Place


def disagreements(tree: JsonObject) -> Iterator[tuple[Place, str]]:
    """The place of each setting that does not fit another, and a sentence."""
    sources, destinations = tree.get("sources"), tree.get("destinations")
    if not isinstance(sources, dict):
        return
    if isinstance(destinations, dict):
        yield from _routes_to_nowhere(sources, tuple(destinations))
    yield from _keys_of_two_sources(sources)


def _routes_to_nowhere(
    sources: JsonObject, destinations: tuple[str, ...]
) -> Iterator[tuple[Place, str]]:
    for place, name in _texts(sources, "destinations"):
        if name not in destinations:
            near = did_you_mean(name, destinations)
            hint = f'; did you mean "{near}"?' if near else f"; known: {', '.join(destinations)}"
            yield place, f'there is no destination "{name}"{hint}'


def _keys_of_two_sources(sources: JsonObject) -> Iterator[tuple[Place, str]]:
    owners: dict[str, Place] = {}
    for place, key in _texts(sources, "write_keys"):
        owner = owners.setdefault(key, place)
        if owner[1] != place[1]:
            other = called_in_file(owner)
            yield place, f"{other} has the same write key; give each source its own"


def _texts(sources: JsonObject, setting: str) -> Iterator[tuple[Place, str]]:
    """The texts in this list of every source, with their places."""
    for name, source in sources.items():
        items: Json = source.get(setting) if isinstance(source, dict) else None
        for number, item in enumerate(items if isinstance(items, list) else []):
            if isinstance(item, str):
                yield ("sources", name, setting, number), item

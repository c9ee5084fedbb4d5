"""What parts of a configuration must agree on: routes lead somewhere, nobody shares a credential.

Looks at the tree as it was read, so that this is said beside whatever else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.complaints import called_in_file, did_you_mean, quoted
from conversion_relay.service.references import SECRETS, tables
from conversion_relay.service.settings.kinds import PLACEHOLDER
from conversion_relay.service.toml_lines import Place

_PUBLIC: Final = "write_keys"
"""They stand in web pages, so that what is one is known to everybody."""


def disagreements(tree: JsonObject) -> Iterator[tuple[Place, str]]:
    """The place of each setting that does not fit another, and a sentence."""
    sources, destinations = tree.get("sources"), tree.get("destinations")
    if isinstance(sources, dict) and isinstance(destinations, dict):
        yield from _routes_to_nowhere(sources, tuple(destinations))
    yield from _keys_of_two(dict(_secrets(tree)))


def _routes_to_nowhere(
    sources: JsonObject, destinations: tuple[str, ...]
) -> Iterator[tuple[Place, str]]:
    for name, source in sources.items():
        routes: Json = source.get("destinations") if isinstance(source, dict) else None
        for number, route in enumerate(routes if isinstance(routes, list) else []):
            if isinstance(route, str) and route not in destinations:
                near = did_you_mean(route, destinations)
                hint = f"did you mean {quoted(near)}?" if near else _known(destinations)
                sentence = f"there is no destination {quoted(route)}; {hint}"
                yield ("sources", name, "destinations", number), sentence


def _known(destinations: tuple[str, ...]) -> str:
    return f"known: {', '.join(destinations)}"


def _keys_of_two(secrets: dict[Place, str]) -> Iterator[tuple[Place, str]]:
    """Write keys that are another source's too, or a secret elsewhere."""
    owners: dict[str, Place] = {}
    for place, text in secrets.items():
        if _PUBLIC in place:
            owner = owners.setdefault(text, place)
            if owner[1] != place[1]:
                other = called_in_file(owner)
                yield place, f"{other} has the same write key; give each source its own"
    for place, text in secrets.items():
        if _PUBLIC not in place and text in owners:
            yield place, "is a write key too, and those are known to everybody; take another"


def _secrets(tree: JsonObject) -> Iterator[tuple[Place, str]]:
    """Every secret that is known."""
    for place, table in tables(tree):
        for key in SECRETS & table.keys():
            value = table[key]
            for number, item in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(item, str) and item != PLACEHOLDER:
                    yield (*place, key, number) if value is not item else (*place, key), item

"""The content of a configuration: settings with references in the place of secrets, and mappings.

As JSON, the same for the same configuration. Where nodes share a database, it says nothing of what
is each node's own, so that they can agree on it. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.configuration import Inspection
from conversion_relay.service.preset_files import form_of
from conversion_relay.service.settings import Configuration
from conversion_relay.service.settings.database import is_postgresql
from conversion_relay.service.targets import Definitions
from conversion_relay.service.toml_lines import Place

SETTINGS: Final = "settings"
MAPPINGS: Final = "mappings"
_SERVICE: Final = "service"
_DATABASE: Final = "database_url"
OF_THE_NODE: Final = frozenset(
    {
        "host",
        "port",
        "node_name",
        _DATABASE,
        "database_password",
        "database_connections",
        "database_pooler",
        "weak_durability",
        "spool",
        "spool_bytes",
    }
)
"""The settings of the service that are each node's own, where several share a database."""
_SOME_DATABASE: Final = "postgresql:///shared"
"""Stands for every node's own way to it."""


def content_of(
    inspection: Inspection,
    configuration: Configuration,
    definitions: Mapping[str, Definitions],
) -> str:
    """The content of what was read."""
    settings: JsonObject = configuration.model_dump(mode="json", exclude_unset=True)
    for place, reference in inspection.references.items():
        _put(settings, place, _located(reference, place, inspection))
    if is_postgresql(configuration.service.database_url):
        _leave_out_what_differs(settings)
    mappings = {
        name: {"origin": one.origin, "presets": [form_of(each) for each in one.presets]}
        for name, one in definitions.items()
    }
    document = {SETTINGS: _sorted(settings), MAPPINGS: mappings}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _leave_out_what_differs(settings: JsonObject) -> None:
    """From node to node; what is left is what they agree on."""
    service = settings[_SERVICE]
    if isinstance(service, dict):
        for name in OF_THE_NODE & service.keys():
            del service[name]
        service[_DATABASE] = _SOME_DATABASE


def _located(reference: str, place: Place, inspection: Inspection) -> str:
    """The reference, with the path of a file as it is from here, not from the TOML file."""
    kind, _, name = reference.partition(":")
    origin = inspection.origin
    by_variable = place in origin.variables or place[:-1] in origin.variables
    if kind != "file" or by_variable or origin.lines is None:
        return reference
    return f"file:{Path(origin.name).parent / name}"


def _sorted(settings: JsonObject) -> JsonObject:
    """Tables in the order of their keys, so that moving a line changes nothing."""
    return {
        key: _sorted(value) if isinstance(value, dict) else value
        for key, value in sorted(settings.items())
    }


def _put(tree: JsonObject, place: Place, value: str) -> None:
    branch = _at(tree, place[:-1])
    match branch, place[-1]:
        case dict(), str(key):
            branch[key] = value
        case list(), int(number):
            branch[number] = value
        case _:
            raise KeyError(place)


def _at(tree: Json, place: Place) -> Json:
    branch = tree
    for key in place:
        if isinstance(branch, dict) and isinstance(key, str):
            branch = branch.get(key)
        elif isinstance(branch, list) and isinstance(key, int):
            branch = branch[key]
    return branch


def digest_of(content: str, inspection: Inspection) -> str:
    """By which content and secrets are recognised, but for those that are a node's own."""
    found = hashlib.sha256(content.encode())
    shared = (one for one in inspection.references if not _is_of_the_node(one))
    for place in sorted(shared, key=repr):
        found.update(repr((place, _at(inspection.tree, place))).encode())
    return found.hexdigest()


def _is_of_the_node(place: Place) -> bool:
    return place[:1] == (_SERVICE,) and place[1] in OF_THE_NODE

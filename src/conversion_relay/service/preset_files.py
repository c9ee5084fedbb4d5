"""Preset files: where they lie and how they are read.

Looks in the configured folder and nowhere else when there is one; otherwise inside the installed
package, then at the top of a checkout. Knows no destination: what a preset means is in core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.preset import PresetDefinition
from conversion_relay.core.values import Json, JsonObject, json_type
from conversion_relay.errors import PresetError

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "presets"
_CHECKOUT = _PACKAGE.parent.parent / "presets"
_KEYS = ("name", "subscribe", "partnerAction", "mapping", "enabled")
"""Those with a meaning here; Segment's form has more."""


def presets_folder(configured: Path | None) -> Path:
    """The folder preset files are taken from.

    Raises:
        PresetError: the configured folder does not exist, or none came with the installation.
    """
    if configured is not None:
        if not os.path.isdir(configured):  # noqa: PTH112 - of a path too long, is_dir() raises
            raise PresetError(f"the presets folder {configured} does not exist")
        return configured
    for folder in (_INSTALLED, _CHECKOUT):
        if folder.is_dir():
            return folder
    raise PresetError("no preset files came with this installation; set RELAY_PRESETS_FOLDER")


def preset_names(folder: Path) -> tuple[str, ...]:
    """The preset sets in a folder, by name, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def read_preset_set(name: str, folder: Path) -> tuple[PresetDefinition, ...]:
    """The presets of one file of the folder, in their order.

    Raises:
        PresetError: no such file, or it is not what a preset file should be.
    """
    if name not in preset_names(folder):
        known = ", ".join(preset_names(folder)) or "none"
        raise PresetError(f'there is no preset file "{name}.json" in {folder}; there are: {known}')
    return read_mappings(folder / f"{name}.json")


def read_mappings(path: Path) -> tuple[PresetDefinition, ...]:
    """The presets of a file: a list in Segment's own form, or an object with it as "presets".

    Raises:
        PresetError: with every problem of the file.
    """
    try:
        decoded = decode(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PresetError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(f"{path} cannot be read: it is not UTF-8") from error
    except RecursionError as error:
        raise PresetError(f"{path} is nested too deeply") from error
    if isinstance(decoded, Undecodable):
        raise PresetError(f"{path} is no JSON: {decoded.reason}")
    return definitions_in(decoded.value, str(path))


def form_of(definition: PresetDefinition) -> JsonObject:
    """The preset in Segment's own form."""
    values = (definition.name, definition.subscribe, definition.partner_action)
    return {**dict(zip(_KEYS, values, strict=False)), "mapping": definition.mapping}


def definitions_in(content: Json, path: str) -> tuple[PresetDefinition, ...]:
    """The presets in what a file holds; the path is for messages.

    Raises:
        PresetError: with every problem.
    """
    entries = content.get("presets") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise PresetError(
            f'{path} must hold a list of mappings, or an object with such a list as "presets"'
        )
    problems: list[str] = []
    found = [_definition(entry, f"{path}: /{n}", problems) for n, entry in enumerate(entries)]
    if problems:
        raise PresetError("\n".join(problems))
    definitions = tuple(definition for definition in found if definition is not None)
    if not definitions:
        raise PresetError(
            f'{path}: every mapping is switched off ("enabled": false), so nothing would be sent'
        )
    return definitions


def _definition(entry: Json, where: str, problems: list[str]) -> PresetDefinition | None:
    if not isinstance(entry, dict):
        problems.append(f"{where}: a mapping must be an object, this is {json_type(entry)}")
        return None
    problems.extend(_misspellings(entry, where))
    enabled = entry.get("enabled", True)
    if not isinstance(enabled, bool):
        problems.append(f'{where}: "enabled" must be true or false, it is {json_type(enabled)}')
    if enabled is False:
        return None
    name, subscribe, action = (_text(entry, key, where, problems) or "" for key in _KEYS[:3])
    mapping = entry.get("mapping")
    if not isinstance(mapping, dict):
        problems.append(f'{where}: "mapping" must be an object, it is {_found(entry, "mapping")}')
        return None
    return PresetDefinition(name, subscribe, action, mapping)


def _misspellings(entry: JsonObject, where: str) -> Iterator[str]:
    """Of keys that have a meaning; what else Segment's form holds is like none of them."""
    for key in sorted(entry.keys() - set(_KEYS)):
        for near in get_close_matches(key, _KEYS, n=1, cutoff=0.8):
            yield f'{where}: "{key}" has no meaning; did you mean "{near}"?'


def _text(entry: JsonObject, key: str, where: str, problems: list[str]) -> str | None:
    value = entry.get(key, "reportWebEvent" if key == "partnerAction" else None)
    if isinstance(value, str) and value:
        return value
    problems.append(f'{where}: "{key}" must be a text, it is {_found(entry, key)}')
    return None


def _found(entry: JsonObject, key: str) -> str:
    return json_type(entry[key]) if key in entry else "missing"

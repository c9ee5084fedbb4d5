"""Preset files: where they lie and how they are read.

Looks in the configured folder and nowhere else when there is one; otherwise inside the installed
package, then at the top of a checkout. Knows no destination: what a preset means is in core.
"""

from __future__ import annotations

from pathlib import Path

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.preset import PresetDefinition
from conversion_relay.core.values import Json, JsonObject, json_type
from conversion_relay.errors import PresetError

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "presets"
_CHECKOUT = _PACKAGE.parent.parent / "presets"
_KEYS = ("name", "subscribe", "partnerAction", "mapping")


def presets_folder(configured: Path | None) -> Path:
    """The folder preset files are taken from.

    Raises:
        PresetError: the configured folder does not exist, or none came with the installation.
    """
    if configured is not None:
        if not configured.is_dir():
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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PresetError(f"{path} cannot be read: {reason}") from error
    decoded = decode(text)
    if isinstance(decoded, Undecodable):
        raise PresetError(f"{path} is no JSON: {decoded.reason}")
    return _definitions(decoded.value, path)


def _definitions(content: Json, path: Path) -> tuple[PresetDefinition, ...]:
    entries = content.get("presets") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise PresetError(
            f'{path} must hold a list of mappings, or an object with such a list as "presets"'
        )
    problems: list[str] = []
    definitions = [
        _definition(entry, f"{path}: /{n}", problems) for n, entry in enumerate(entries)
    ]
    if problems:
        raise PresetError("\n".join(problems))
    return tuple(definition for definition in definitions if definition is not None)


def _definition(entry: Json, where: str, problems: list[str]) -> PresetDefinition | None:
    if not isinstance(entry, dict):
        problems.append(f"{where}: a mapping must be an object, this is {json_type(entry)}")
        return None
    if entry.get("enabled") is False:
        return None
    texts = [_text(entry, key, where, problems) for key in _KEYS[:3]]
    mapping = entry.get("mapping")
    if not isinstance(mapping, dict):
        problems.append(f'{where}: "mapping" must be an object, it is {_found(entry, "mapping")}')
        return None
    name, subscribe, partner_action = (text or "" for text in texts)
    return PresetDefinition(name, subscribe, partner_action, mapping)


def _text(entry: JsonObject, key: str, where: str, problems: list[str]) -> str | None:
    value = entry.get(key, "reportWebEvent" if key == "partnerAction" else None)
    if isinstance(value, str) and value:
        return value
    problems.append(f'{where}: "{key}" must be a text, it is {_found(entry, key)}')
    return None


def _found(entry: JsonObject, key: str) -> str:
    return json_type(entry[key]) if key in entry else "missing"

"""A configuration that is whole: checked, its mappings compiled, ready to take effect.

Reads files; its content names secrets by where they are found, and never holds one. From that
content, the same configuration can be had again, whatever became of the files of mappings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from conversion_relay.core.plan import Target
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError, PresetError
from conversion_relay.service.checks import Checked, checked
from conversion_relay.service.configuration import (
    Inspection,
    inspect,
    inspect_kept,
    unknown_variables,
)
from conversion_relay.service.preset_files import definitions_in, form_of, presets_folder
from conversion_relay.service.settings import Configuration
from conversion_relay.service.targets import (
    Definitions,
    definitions_of,
    examine,
    targets_of,
)
from conversion_relay.service.toml_lines import Place

_SETTINGS: Final = "settings"
_MAPPINGS: Final = "mappings"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that can be used.

    Attributes:
        configuration: its settings.
        targets: its destinations, with their mappings compiled.
        content: JSON, settings with references in the place of secrets, and the mappings.
        fingerprint: of the content.
        digest: of the content and of the secrets; stays in memory.
        warnings: what is probably not meant.
    """

    configuration: Configuration
    targets: tuple[Target, ...]
    content: str = field(repr=False)
    fingerprint: str
    digest: str = field(repr=False)
    warnings: tuple[str, ...] = ()

    def is_like(self, other: Candidate) -> bool:
        """Whether both are the same, secrets included."""
        return self.digest == other.digest

    def differs_in_secrets(self, other: Candidate) -> bool:
        """Whether both are the same but for the secrets."""
        return self.fingerprint == other.fingerprint and self.digest != other.digest


@dataclass(slots=True)
class Broken:
    """What cannot be used, so that it is not compiled again and again to say so.

    Attributes:
        mark: of all that was read, the files of mappings included.
        problem: what was said of it.
    """

    mark: str = ""
    problem: str = field(default="", repr=False)


def read_candidate(
    environment: Mapping[str, str],
    config_file: Path | None = None,
    *known: Candidate,
    broken: Broken | None = None,
) -> Candidate:
    """The configuration that the files say.

    Args:
        environment: the process's variables.
        config_file: a TOML file; RELAY_CONFIG names one when this is None.
        known: the one of these that says the same is given back, which saves compiling.
        broken: what could not be used last; it is filled in.

    Raises:
        ConfigurationError: it cannot be used, with every problem.
    """
    inspection = inspect(environment, config_file)
    same = _same(inspection, known)
    if same is not None:
        return same
    found = _checked(inspection, broken or Broken())
    definitions = definitions_of(found.configuration)
    content = _content(inspection, found.configuration, definitions)
    warnings = (*unknown_variables(environment, config_file), *found.warnings)
    targets = targets_of(found.configuration, definitions)
    return _candidate(inspection, found.configuration, targets, content, warnings)


def candidate_of(
    content: str, environment: Mapping[str, str], name: str, *known: Candidate
) -> Candidate:
    """The configuration that was kept so, with the secrets of today.

    Args:
        content: of a candidate.
        environment: the process's variables.
        name: what it is called in problems.
        known: the one of these that is the same is given back, which saves compiling.

    Raises:
        ConfigurationError: it cannot be used any more, with every problem.
    """
    document: dict[str, JsonObject] = orjson.loads(content)
    inspection = inspect_kept(document[_SETTINGS], environment, name)
    configuration = inspection.usable()
    same = _of_digest(_digest(content, inspection), known)
    if same is not None:
        return same
    definitions = {one: _definitions(kept, one) for one, kept in document[_MAPPINGS].items()}
    targets = targets_of(configuration, definitions)
    return _candidate(inspection, configuration, targets, content, ())


@dataclass(frozen=True, slots=True)
class Files:
    """What a configuration is read from.

    Attributes:
        environment: the process's variables.
        path: of the TOML file; None: RELAY_CONFIG names one, or the environment says it all.
        broken: what could not be used last.
    """

    environment: Mapping[str, str] = field(repr=False)
    path: Path | None = None
    broken: Broken = field(default_factory=Broken, repr=False, compare=False)

    def read(self, *known: Candidate) -> Candidate:
        """What the files say now; see `read_candidate`."""
        return read_candidate(self.environment, self.path, *known, broken=self.broken)

    def restored(self, content: str, name: str, *known: Candidate) -> Candidate:
        """What was kept, with the secrets of today; see `candidate_of`."""
        return candidate_of(content, self.environment, name, *known)


def _checked(inspection: Inspection, broken: Broken) -> Checked:
    mark = _mark(inspection)
    if mark == broken.mark:
        raise ConfigurationError(broken.problem)
    try:
        return checked(inspection, examine)
    except ConfigurationError as error:
        broken.mark, broken.problem = mark, str(error)
        raise


def _mark(inspection: Inspection) -> str:
    """Of everything by which it is judged."""
    tree = inspection.tree
    found = hashlib.sha256(repr((tree, inspection.problems, inspection.origin)).encode())
    destinations = tree.get("destinations")
    for table in (destinations if isinstance(destinations, dict) else {}).values():
        for path in _mappings_of(table, tree.get("service")):
            try:
                found.update(path.read_bytes())
            except (OSError, ValueError) as error:
                found.update(repr(error).encode())
    return found.hexdigest()


def _mappings_of(table: Json, service: Json) -> Iterator[Path]:
    """The file with the mappings of a destination, or those of which one is it."""
    own = table.get("mappings") if isinstance(table, dict) else None
    if isinstance(own, str):
        yield Path(own)
        return
    folder = service.get("presets_folder") if isinstance(service, dict) else None
    with suppress(PresetError, ValueError):
        yield from sorted(
            presets_folder(Path(folder) if isinstance(folder, str) else None).glob("*.json")
        )


def _same(inspection: Inspection, known: Sequence[Candidate]) -> Candidate | None:
    """The known one that says the same as what was read."""
    if inspection.configuration is None or not known:
        return None
    try:
        definitions = definitions_of(inspection.configuration)
    except PresetError:
        return None
    content = _content(inspection, inspection.configuration, definitions)
    return _of_digest(_digest(content, inspection), known)


def _of_digest(digest: str, known: Sequence[Candidate]) -> Candidate | None:
    return next((one for one in known if one.digest == digest), None)


def _candidate(
    inspection: Inspection,
    configuration: Configuration,
    targets: tuple[Target, ...],
    content: str,
    warnings: tuple[str, ...],
) -> Candidate:
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    digest = _digest(content, inspection)
    return Candidate(configuration, targets, content, fingerprint, digest, warnings)


def _content(
    inspection: Inspection,
    configuration: Configuration,
    definitions: Mapping[str, Definitions],
) -> str:
    settings: JsonObject = configuration.model_dump(mode="json", exclude_unset=True)
    for place, reference in inspection.references.items():
        _put(settings, place, _located(reference, place, inspection))
    mappings = {
        name: {"origin": one.origin, "presets": [form_of(each) for each in one.presets]}
        for name, one in definitions.items()
    }
    document = {_SETTINGS: _sorted(settings), _MAPPINGS: mappings}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


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


def _digest(content: str, inspection: Inspection) -> str:
    found = hashlib.sha256(content.encode())
    for place in sorted(inspection.references, key=repr):
        found.update(repr((place, _at(inspection.tree, place))).encode())
    return found.hexdigest()


def _at(tree: Json, place: Place) -> Json:
    branch = tree
    for key in place:
        if isinstance(branch, dict) and isinstance(key, str):
            branch = branch.get(key)
        elif isinstance(branch, list) and isinstance(key, int):
            branch = branch[key]
    return branch


def _definitions(kept: Json, destination: str) -> Definitions:
    origin, presets = (kept["origin"], kept["presets"]) if isinstance(kept, dict) else ("", kept)
    if not isinstance(origin, str):
        raise ConfigurationError(f"the mappings of {destination} were not kept whole")
    return Definitions(origin, definitions_in(presets, origin))

"""A configuration that is whole: checked, its mappings compiled, ready to take effect.

Reads files; its content names secrets by where they are found, and never holds one. From that
content, the same configuration can be had again, whatever became of the files of mappings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from conversion_relay.service.preset_files import definitions_in, presets_folder
from conversion_relay.service.reload.content import (
    MAPPINGS,
    OF_THE_NODE,
    SETTINGS,
    content_of,
    digest_of,
)
from conversion_relay.service.settings import Configuration, ServiceSettings
from conversion_relay.service.targets import (
    Definitions,
    definitions_of,
    examine,
    targets_of,
)


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


def of_this_node(candidate: Candidate, service: ServiceSettings) -> Candidate:
    """The same with what is each node's own, as it stands in these settings."""
    own = {name: getattr(service, name) for name in OF_THE_NODE}
    present = candidate.configuration
    changed = present.service.model_copy(update=own)
    return replace(candidate, configuration=present.model_copy(update={"service": changed}))


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
    content = content_of(inspection, found.configuration, definitions)
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
    inspection = inspect_kept(document[SETTINGS], environment, name)
    configuration = inspection.usable()
    same = _of_digest(digest_of(content, inspection), known)
    if same is not None:
        return same
    definitions = {one: _definitions(kept, one) for one, kept in document[MAPPINGS].items()}
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
    content = content_of(inspection, inspection.configuration, definitions)
    return _of_digest(digest_of(content, inspection), known)


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
    digest = digest_of(content, inspection)
    return Candidate(configuration, targets, content, fingerprint, digest, warnings)


def _definitions(kept: Json, destination: str) -> Definitions:
    origin, presets = (kept["origin"], kept["presets"]) if isinstance(kept, dict) else ("", kept)
    if not isinstance(origin, str):
        raise ConfigurationError(f"the mappings of {destination} were not kept whole")
    return Definitions(origin, definitions_in(presets, origin))

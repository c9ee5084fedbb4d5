"""Reads the configuration: the environment alone, or a TOML file with the environment beside it.

Secrets come from the environment or from files, never from the TOML: there, `"env:NAME"` and
`"file:PATH"` say where a secret is found. Every problem is reported at once, never with a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.agreement import disagreements
from conversion_relay.service.complaints import Complaint, Origin, did_you_mean, told
from conversion_relay.service.drafting import Draft, put
from conversion_relay.service.environment import (
    CONFIG_VARIABLE,
    DEFAULT_DESTINATION,
    DEFAULT_SOURCE,
    DESTINATION,
    SOURCE,
    VARIABLES,
    value_of,
)
from conversion_relay.service.references import SECRETS, References
from conversion_relay.service.settings import NAMED, Configuration
from conversion_relay.service.settings.kinds import PLACEHOLDER
from conversion_relay.service.toml_file import read_toml
from conversion_relay.service.toml_lines import Place

_OWN_PREFIX: Final = "RELAY_"
_SHARED_PREFIXES: Final = ("TIKTOK_", "SEGMENT_")
"""Other programs have variables with these, so that only what is like one of ours is an error."""
_IDLE: Final = "{} has no effect beside a TOML file, which says what sources and destinations are"
_Placeholders: TypeAlias = "tuple[tuple[tuple[str, ...], Json], ...]"
_PLACEHOLDERS: Final[_Placeholders] = (
    ((*SOURCE, "bearer_tokens"), [PLACEHOLDER]),
    ((*DESTINATION, "access_token"), PLACEHOLDER),
    ((*DESTINATION, "pixel_code"), "PIXEL_CODE"),
    (("alerts", "smtp_url"), PLACEHOLDER),
    (("service", "encryption_key"), PLACEHOLDER),
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was read, and everything that is wrong with it.

    Attributes:
        tree: what was read, with secrets: of a broken configuration, what there is of it.
        configuration: None when something is wrong.
        problems: all of them.
        origin: calls settings by their names.
        references: where each secret comes from.
    """

    tree: JsonObject
    configuration: Configuration | None
    problems: Sequence[Complaint]
    origin: Origin
    references: Mapping[Place, str]

    def usable(self) -> Configuration:
        """The configuration.

        Raises:
            ConfigurationError: with every problem.
        """
        if self.configuration is None:
            raise ConfigurationError(told(self.problems, self.origin))
        return self.configuration


def load(environment: Mapping[str, str], config_file: Path | None = None) -> Configuration:
    """The configuration of the service.

    Args:
        environment: the process's variables.
        config_file: a TOML file; RELAY_CONFIG names one when this is None.

    Raises:
        ConfigurationError: with every problem found.
    """
    return inspect(environment, config_file).usable()


def load_for_preview(
    environment: Mapping[str, str], config_file: Path | None = None
) -> Configuration:
    """The configuration with placeholders where credentials would be: enough for `preview`.

    Raises:
        ConfigurationError: with every problem found.
    """
    return inspect_for_preview(environment, config_file).usable()


def inspect_for_preview(
    environment: Mapping[str, str], config_file: Path | None = None
) -> Inspection:
    """The same with what is wrong with it.

    Raises:
        ConfigurationError: the file cannot be read, or is no TOML.
    """
    kept = {name: value for name, value in environment.items() if not _is_credential(name)}
    return inspect(kept, config_file, _PLACEHOLDERS, secrets=False)


def inspect(
    environment: Mapping[str, str],
    config_file: Path | None = None,
    placeholders: _Placeholders = (),
    *,
    secrets: bool = True,
) -> Inspection:
    """What is configured and what is wrong with it.

    Args:
        environment: the process's variables.
        config_file: a TOML file; RELAY_CONFIG names one when this is None.
        placeholders: stand where nothing is set.
        secrets: those that a file refers to are looked for; otherwise placeholders are as good.

    Raises:
        ConfigurationError: the file cannot be read, or is no TOML.
    """
    path = config_path(environment, config_file)
    draft = Draft(environment)
    if path is None:
        draft.tree = {"sources": {DEFAULT_SOURCE: {}}, "destinations": {DEFAULT_DESTINATION: {}}}
        draft.fill(VARIABLES)
    else:
        draft.read(path, needed=secrets)
        # for the service itself the environment decides over the file, as containers expect
        draft.fill(one for one in VARIABLES if one.target[0] not in NAMED)
    for target, value in placeholders:
        if path is None or target[0] not in draft.tree or target[0] not in NAMED:
            put(draft.tree, target, value, keep=True)
    return _inspection(draft)


def inspect_kept(tree: JsonObject, environment: Mapping[str, str], name: str) -> Inspection:
    """The same of settings that were kept, with today's secrets and variables of the service.

    Args:
        tree: with references in the place of secrets; it is filled in.
        environment: the process's variables.
        name: what the configuration is called in problems.
    """
    draft = Draft(environment)
    draft.take(tree, name)
    draft.fill(one for one in VARIABLES if one.target[0] not in NAMED)
    return _inspection(draft)


def unknown_variables(
    environment: Mapping[str, str], config_file: Path | None = None
) -> tuple[str, ...]:
    """A sentence for each variable that looks like one of ours, and is none.

    Those that the TOML file names as places of secrets are known.
    """
    path = config_path(environment, config_file)
    known = _known_variables()
    sentences: list[str] = []
    if path is not None:
        referred = _referred(path)
        known |= referred
        idle = sorted(_taken_by_the_file() - referred)
        sentences += [_IDLE.format(name) for name in idle if environment.get(name)]
    for name in sorted(environment.keys() - known):
        near = did_you_mean(name, sorted(_known_variables()), similarity=0.85)
        if near and name.startswith((_OWN_PREFIX, *_SHARED_PREFIXES)):
            sentences.append(f"{name} is not a setting and has no effect; did you mean {near}?")
        elif name.startswith(_OWN_PREFIX):
            sentences.append(f"{name} is not a setting and has no effect")
    return tuple(sentences)


def _known_variables() -> frozenset[str]:
    names = {variable.name for variable in (*VARIABLES, CONFIG_VARIABLE)}
    return frozenset(names | {f"{name}_FILE" for name in names})


def _taken_by_the_file() -> frozenset[str]:
    """The variables of the source and the destination, each with its twin."""
    names = [variable.name for variable in VARIABLES if variable.target[0] in NAMED]
    return frozenset([*names, *(f"{name}_FILE" for name in names)])


def _referred(path: Path) -> frozenset[str]:
    """The variables that the file names as places of secrets, each with its twin."""
    references = References(path.parent, {}, needed=False)
    references.resolve(read_toml(path)[0])
    names = [one.removeprefix("env:") for one in references.found.values()]
    return frozenset([*names, *(f"{name}_FILE" for name in names)])


def _is_credential(name: str) -> bool:
    return any(
        name in {variable.name, f"{variable.name}_FILE"}
        and (variable.target[:2] == SOURCE or variable.target[-1] in SECRETS)
        for variable in VARIABLES
    )


def config_path(environment: Mapping[str, str], config_file: Path | None) -> Path | None:
    """The TOML file of the configuration; None where the environment says it all.

    Raises:
        ConfigurationError: a variable that names it cannot be used.
    """
    named = value_of(CONFIG_VARIABLE.name, environment)
    return config_file or (Path(named) if named else None)


def _inspection(draft: Draft) -> Inspection:
    """What comes of it, with all that is wrong."""
    configuration, origin = None, draft.origin
    problems = [*draft.problems, *(origin.problem(*one) for one in disagreements(draft.tree))]
    try:
        configuration = Configuration.model_validate(draft.tree)
    except ValidationError as error:
        problems += origin.problems(error)
    usable = None if problems else configuration
    return Inspection(draft.tree, usable, problems, origin, draft.references)

"""Reads the configuration: the environment alone, or a TOML file with the environment beside it.

Secrets come from the environment or from files, never from the TOML: there, `"env:NAME"` and
`"file:PATH"` say where a secret is found. Every problem is reported at once, never with a value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.complaints import Origin, did_you_mean, explain
from conversion_relay.service.environment import (
    CONFIG_VARIABLE,
    DEFAULT_DESTINATION,
    DEFAULT_SOURCE,
    DESTINATION,
    SOURCE,
    VARIABLES,
    Variable,
    read_secret_file,
    value_of,
)
from conversion_relay.service.settings import Configuration

_SECRETS: Final = frozenset(
    {
        "access_token",
        "signing_secrets",
        "bearer_tokens",
        "admin_token",
        "encryption_key",
        "proxy_url",
    }
)
_UNUSED_VALUE: Final = "http://placeholder"  # good as a token and as an address
_ENVIRONMENT: Final = Origin("the environment", variables=True)
_DEEPEST_SETTING: Final = 3
"""As in sources.web.signing_secrets."""
_OWN_PREFIX: Final = "RELAY_"
_SHARED_PREFIXES: Final = ("TIKTOK_", "SEGMENT_")
"""Other programs have variables with these, so that only what is like one of ours is an error."""
_Placeholders: TypeAlias = "tuple[tuple[tuple[str, ...], str], ...]"
_PLACEHOLDERS: Final[_Placeholders] = (
    ((*SOURCE, "authentication"), "none"),
    ((*DESTINATION, "access_token"), _UNUSED_VALUE),
    ((*DESTINATION, "pixel_code"), "PIXEL_CODE"),
)


def load(environment: Mapping[str, str], config_file: Path | None = None) -> Configuration:
    """The configuration of the service.

    Args:
        environment: the process's variables.
        config_file: a TOML file; RELAY_CONFIG names one when this is None.

    Raises:
        ConfigurationError: with every problem found.
    """
    return _load(environment, config_file, placeholders=())


def load_for_preview(
    environment: Mapping[str, str], config_file: Path | None = None
) -> Configuration:
    """The configuration with placeholders where credentials would be: enough for `preview`.

    Raises:
        ConfigurationError: with every problem found.
    """
    kept = {name: value for name, value in environment.items() if not _is_credential(name)}
    return _load(kept, config_file, _PLACEHOLDERS)


def unknown_variables(
    environment: Mapping[str, str], config_file: Path | None = None
) -> tuple[str, ...]:
    """A sentence for each variable that looks like one of ours, and is none.

    Those that the TOML file names as places of secrets are known.
    """
    path = _config_path(environment, config_file)
    known = _known_variables() | (frozenset() if path is None else _referred(path))
    sentences: list[str] = []
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


def _referred(path: Path) -> frozenset[str]:
    """The variables that the file names as places of secrets."""
    names: set[str] = set()

    def noted(reference: object, _where: str) -> str | None:
        if isinstance(reference, str):
            names.add(reference.removeprefix("env:"))
        return None

    _walk(_read_toml(path), (), noted, path.parent)
    return frozenset(names)


def _is_credential(name: str) -> bool:
    return any(
        name in {variable.name, f"{variable.name}_FILE"}
        and (variable.target[:2] == SOURCE or variable.target[-1] in _SECRETS)
        for variable in VARIABLES
    )


def _load(
    environment: Mapping[str, str], config_file: Path | None, placeholders: _Placeholders
) -> Configuration:
    path = _config_path(environment, config_file)
    if path is None:
        tree, origin = _from_environment(environment), _ENVIRONMENT
    else:
        tree = _from_toml(path, environment, needed=not placeholders)
        origin = Origin(str(path), variables=False)
    for target, value in placeholders:
        if path is None or target[0] not in tree:
            _put(tree, target, value, keep=True)
    try:
        return Configuration.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(explain(error, origin)) from None


def _config_path(environment: Mapping[str, str], config_file: Path | None) -> Path | None:
    named = value_of(CONFIG_VARIABLE.name, environment)
    return config_file or (Path(named) if named else None)


def _from_environment(environment: Mapping[str, str]) -> JsonObject:
    tree: JsonObject = {"sources": {DEFAULT_SOURCE: {}}, "destinations": {DEFAULT_DESTINATION: {}}}
    _fill(tree, VARIABLES, environment)
    return tree


def _from_toml(path: Path, environment: Mapping[str, str], *, needed: bool) -> JsonObject:
    """The file; for the service itself the environment decides over it, as containers expect."""
    tree = _read_toml(path)
    _resolve_secrets(tree, path, environment, needed=needed)
    _fill(tree, [one for one in VARIABLES if one.target[0] == "service"], environment)
    return tree


def _fill(tree: JsonObject, variables: Sequence[Variable], environment: Mapping[str, str]) -> None:
    for variable in variables:
        value = value_of(variable.name, environment)
        if value is not None:
            _put(tree, variable.target, variable.content(value))


def _put(tree: JsonObject, target: tuple[str, ...], value: Json, *, keep: bool = False) -> None:
    """Sets the value at the target; `keep` leaves a value that is there already."""
    branch = tree
    for key in target[:-1]:
        below = branch.setdefault(key, {})
        if not isinstance(below, dict):
            return
        branch = below
    if not (keep and target[-1] in branch):
        branch[target[-1]] = value


def _read_toml(path: Path) -> JsonObject:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: it is not UTF-8") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds a number with too many digits") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is nested too deeply") from error


def _resolve_secrets(
    tree: JsonObject, path: Path, environment: Mapping[str, str], *, needed: bool
) -> None:
    """Replaces each secret's reference by the secret, and relative paths by absolute ones."""
    problems: list[str] = []

    def resolved(reference: object, where: str) -> str | None:
        kind, _, name = reference.partition(":") if isinstance(reference, str) else ("", "", "")
        if kind not in {"env", "file"} or not name:
            problems.append(
                f'{path}: {where} must say where the secret is found: "env:NAME" or "file:PATH"; '
                "secrets do not belong in the file"
            )
            return None
        if not needed:
            return _UNUSED_VALUE
        if kind == "file":
            return read_secret_file(path.parent / name, f"{path}: {where}")
        value = value_of(name, environment)
        if value is None:
            problems.append(
                f"{path}: {where} names the environment variable {name}, which is not set"
            )
        return value

    _walk(tree, (), resolved, path.parent)
    if problems:
        raise ConfigurationError("\n".join(problems))


def _walk(
    tree: JsonObject,
    place: tuple[str, ...],
    resolved: Callable[[object, str], str | None],
    folder: Path,
) -> None:
    for key, value in tree.items():
        inside = (*place, key)
        if isinstance(value, dict):
            if len(inside) < _DEEPEST_SETTING:
                _walk(value, inside, resolved, folder)
        elif key in _SECRETS and isinstance(value, list):
            where = ".".join(inside)
            tree[key] = [resolved(item, f"{where}[{n}]") for n, item in enumerate(value)]
        elif key in _SECRETS:
            tree[key] = resolved(value, ".".join(inside))
        elif key in {"mappings", "presets_folder"} and isinstance(value, str):
            tree[key] = str(folder / value)

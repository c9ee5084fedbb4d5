"""What a service begins with: what its files say, or what ran last where that must not be taken.

A change that was refused, and files that cannot be used, do not take effect by a restart either.
Of the database it knows only where it is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import ValidationError

from conversion_relay.core.values import JsonObject
from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service.configuration import config_path
from conversion_relay.service.environment import VARIABLES, value_of
from conversion_relay.service.references import References
from conversion_relay.service.reload.candidate import Candidate, Files
from conversion_relay.service.reload.content import OF_THE_NODE
from conversion_relay.service.reload.steps import Objection, Start, Step, objections_of
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.settings.database import is_postgresql, separated
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.toml_file import read_toml

Newest: TypeAlias = Callable[[ServiceSettings], Awaitable[VersionRecord | None]]
"""Reads the version that was kept last in the database of these settings; None: there is none."""
_OF_THE_DATABASE: Final = (
    "database_url",
    "database_password",
    "database_pooler",
    "weak_durability",
    "encryption_key",
)
_LINE: Final = re.compile(
    rf"""^[ \t]*({"|".join(_OF_THE_DATABASE)})[ \t]*=[ \t]*"""
    r"""(?:(["'])([^"'\\\n]+)\2|(true|false))[ \t]*(?:#.*)?$""",
    re.MULTILINE,
)
"""A setting as it stands in a file that is no TOML as a whole."""
_TRUE: Final = "true"
_REFUSED: Final = (
    "the files say a change that was not taken while version {} ran, so that this version runs "
    "on: change them, or ask for it with `conversion-relay config reload`, which says what is "
    "wrong with it"
)


async def start_of(files: Files, newest: Newest, *, strict: bool) -> Start:
    """What to begin with.

    Args:
        files: of the configuration.
        newest: reads what was kept.
        strict: what the files say, or nothing.

    Raises:
        RelayError: there is nothing to begin with.
    """
    try:
        said = files.read()
    except ConfigurationError as error:
        if strict:
            raise
        return await _without(files, error, newest)
    service = said.configuration.service
    kept = await newest(service)
    if kept is not None and kept.fingerprint != said.fingerprint:
        if kept.rolled_back == said.fingerprint:
            return _rolled_back(files, said, kept)
        if kept.refused == said.fingerprint:
            return _refused(files, service, kept, strict=strict)
    return Start(files, said)


async def _without(files: Files, error: ConfigurationError, newest: Newest) -> Start:
    """With what ran last, because the files cannot be used."""
    try:
        service = _found(files)
        kept = await newest(service)
        if kept is None:
            raise error
        candidate = _restored(files, kept, service)
    except (RelayError, ValidationError):
        raise error from None
    return Start(files, candidate, kept, objections_of(error))


def _rolled_back(files: Files, said: Candidate, kept: VersionRecord) -> Start:
    """With the version that an operator took back, or with the files where it is lost."""
    try:
        return Start(files, _restored(files, kept, said.configuration.service), kept)
    except ConfigurationError as error:
        return Start(files, said, lost=str(error))


def _refused(
    files: Files, service: ServiceSettings, kept: VersionRecord, *, strict: bool
) -> Start:
    sentence = _REFUSED.format(kept.id)
    if strict:
        raise ConfigurationError(sentence)
    try:
        candidate = _restored(files, kept, service)
    except ConfigurationError as error:
        raise ConfigurationError(f"{sentence}; and it cannot be used any more: {error}") from error
    return Start(files, candidate, kept, (Objection(Step.CHECK, sentence),))


def _restored(files: Files, kept: VersionRecord, service: ServiceSettings) -> Candidate:
    """The version, in the database where it was found.

    Raises:
        ConfigurationError: it cannot be used any more.
    """
    candidate = files.restored(kept.content, f"version {kept.id}")
    present = candidate.configuration
    names = {*_OF_THE_DATABASE}
    if is_postgresql(service.database_url):
        names |= OF_THE_NODE & service.model_fields_set
    found = {name: getattr(service, name) for name in names}
    own = present.model_copy(update={"service": present.service.model_copy(update=found)})
    return replace(candidate, configuration=own)


def _found(files: Files) -> ServiceSettings:
    """Where the database is, as far as files that cannot be used, and variables, tell it.

    Raises:
        ConfigurationError: they say something that cannot be used.
        ValidationError: the same.
    """
    path = config_path(files.environment, files.path)
    table = {} if path is None else _written(path)
    found: JsonObject = {name: table[name] for name in _OF_THE_DATABASE if name in table}
    references = References(
        Path() if path is None else path.parent, files.environment, needed=True
    )
    references.resolve({"service": found})
    for variable in VARIABLES:
        if variable.target[0] == "service" and variable.target[-1] in _OF_THE_DATABASE:
            value = value_of(variable.name, files.environment)
            parts = {} if value is None else separated(variable.target[-1], value)
            found |= {name: variable.form(part) for name, part in parts.items()}
    return ServiceSettings.model_validate(found)


def _written(path: Path) -> JsonObject:
    """The table of the service, or the lines of it that are needed."""
    try:
        table = read_toml(path)[0].get("service")
    except ConfigurationError:
        return _lines(path)
    return table if isinstance(table, dict) else {}


def _lines(path: Path) -> JsonObject:
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError:
        return {}
    found = _LINE.findall(text)
    return {name: value or truth == _TRUE for name, _, value, truth in found}

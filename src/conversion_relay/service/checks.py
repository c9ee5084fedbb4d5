"""Everything that is wrong with a configuration, and what of it is probably not meant.

What only a destination knows (its mappings, the fields that it shares) is asked of the caller.
Opens no database and sends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pydantic import SecretStr, ValidationError

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.complaints import Complaint, Origin, told
from conversion_relay.service.configuration import Inspection
from conversion_relay.service.sealing import NO_KEYS, keys_in
from conversion_relay.service.settings import (
    LOOPBACK_HOSTS,
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SharingSettings,
    SourceSettings,
)
from conversion_relay.service.settings.kinds import ANY_ORIGIN, PLACEHOLDER, Settings
from conversion_relay.service.toml_lines import Place

_ASKED_OF_THE_DESTINATION: Final = ("presets", "mappings")
_EVERYBODY_IS_A_PROXY: Final = (
    "service.trusted_proxies names everybody, so that no visitor can be told from a proxy"
)
_NOBODY_IS_A_PROXY: Final = (
    "the service listens on this machine only, so that what reaches it is a proxy; none is named "
    "in service.trusted_proxies (RELAY_TRUSTED_PROXIES), and so no visitor's ip is found"
)
_ADMIN_TOO: Final = (
    "is a credential of source {} too, so that whoever may post events may read and erase all"
)
_READ_TOO: Final = (
    "holds a credential of source {} too, so that whoever may post events may read the admin paths"
)
_OPERATES_TOO: Final = "holds the admin token too, so that whoever has it may change everything"
_OF_A_SERVER: Final = frozenset(
    {
        "database_password",
        "database_connections",
        "database_pooler",
        "weak_durability",
        "node_name",
    }
)
_FORGETFUL: Final = "a crash of the database may lose events that were acknowledged"
_PARTS: Final = {
    "max_event_bytes": "max_body_bytes",
    "max_tracking_event_bytes": "max_tracking_body_bytes",
}
"""An event cannot be larger than its request."""
_Table = TypeVar("_Table", bound=Settings)
Finding: TypeAlias = "tuple[Place, str]"
"""The setting, and a sentence that goes on from its name."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a destination says of its settings; places are those inside its table.

    Attributes:
        mappings: how many there are.
        problems: why it cannot be used.
        warnings: what is probably not meant.
    """

    mappings: int
    problems: Sequence[Finding] = ()
    warnings: Sequence[Finding] = ()


Examine: TypeAlias = Callable[[DestinationSettings, Path | None], Examined]
"""Looks at the settings of a destination; the path is the folder of presets."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can be used.

    Attributes:
        configuration: as it is.
        examined: by the name of the destination.
        warnings: what is probably not meant.
    """

    configuration: Configuration
    examined: Mapping[str, Examined]
    warnings: Sequence[str]


def checked(inspection: Inspection, examine: Examine) -> Checked:
    """What is configured.

    Raises:
        ConfigurationError: with every problem, those of presets and sharing included.
    """
    tree, origin = inspection.tree, inspection.origin
    folder = _presets_folder(tree)
    examined = {name: examine(one, folder) for name, one in _destinations(tree)}
    problems = [*inspection.problems, *_problems(examined, folder, origin)]
    if not _seals(tree):
        problems.append(origin.problem(("service", "encryption_key"), NO_KEYS))
    if problems:
        raise ConfigurationError(told(problems, origin))
    configuration = inspection.usable()
    warnings = [*_dangers(configuration)]
    for name, one in examined.items():
        warnings += [(("destinations", name, *place), text) for place, text in one.warnings]
    sentences = [origin.problem(*one).sentence.removeprefix("- ") for one in warnings]
    return Checked(configuration, examined, sentences)


def _presets_folder(tree: JsonObject) -> Path | None:
    folder = _of_service(tree, "presets_folder")
    return Path(folder) if isinstance(folder, str) else None


def _seals(tree: JsonObject) -> bool:
    """Whether the encryption key can be one, where it is known."""
    text = _of_service(tree, "encryption_key")
    return not isinstance(text, str) or text == PLACEHOLDER or bool(keys_in(text.encode()))


def _of_service(tree: JsonObject, key: str) -> Json:
    service = tree.get("service")
    return service.get(key) if isinstance(service, dict) else None


def _problems(
    examined: Mapping[str, Examined], folder: Path | None, origin: Origin
) -> Iterator[Complaint]:
    """Without a folder, no preset in it is a problem of its own."""
    missing = folder is not None and not os.path.isdir(folder)  # noqa: PTH112 - is_dir() raises
    if missing:
        yield origin.problem(("service", "presets_folder"), f"{folder} is no folder")
    for name, one in examined.items():
        for place, sentence in one.problems:
            if not (missing and place == ("presets",)):
                yield origin.problem(("destinations", name, *place), sentence)


def _destinations(tree: JsonObject) -> Iterator[tuple[str, DestinationSettings]]:
    destinations = tree.get("destinations")
    for name, table in (destinations if isinstance(destinations, dict) else {}).items():
        if isinstance(table, dict):
            yield name, _what_is_sound(table)


def _what_is_sound(table: JsonObject) -> DestinationSettings:
    """What can be examined of a destination, however broken the rest of it is."""
    kept: JsonObject = {"pixel_code": "PIXEL_CODE", "access_token": PLACEHOLDER}
    asked: dict[str, object] = {
        key: table[key] for key in _ASKED_OF_THE_DESTINATION if key in table
    }
    return _sound(DestinationSettings, kept, asked | {"sharing": _sound_sharing(table)})


def _sound_sharing(table: JsonObject) -> SharingSettings:
    given = table.get("sharing")
    sharing = given if isinstance(given, dict) else {}
    regions = {"limited_data_use", "limited_data_use_regions"} <= sharing.keys()
    # a choice that is spelt wrongly, and said to be, does not make the regions useless
    return _sound(SharingSettings, {"limited_data_use": "by_region"} if regions else {}, sharing)


def _sound(model: type[_Table], enough: JsonObject, asked: Mapping[str, object]) -> _Table:
    """The table with those of the settings that are sound; of the others it is said already."""
    kept: dict[str, object] = {**enough}
    sound = model.model_validate(kept)
    for key, value in asked.items():
        try:
            sound = model.model_validate({**kept, key: value})
        except ValidationError:
            continue
        kept[key] = value
    return sound


def _dangers(configuration: Configuration) -> Iterator[Finding]:
    service = configuration.service
    for name, source in configuration.sources.items():
        for key, sentence in _dangers_of_source(source, service):
            yield ("sources", name, key), sentence
    reached = {
        one for name in configuration.sources for one in configuration.destinations_of(name)
    }
    for name, destination in configuration.destinations.items():
        if name not in reached:
            yield ("destinations", name), "no source sends to it"
        for key, sentence in _dangers_of_destination(destination):
            yield ("destinations", name, key), sentence
    for key, sentence in _dangers_of_service(configuration):
        yield ("service", key), sentence


def _dangers_of_service(configuration: Configuration) -> Iterator[tuple[str, str]]:
    service = configuration.service
    if ANY_ORIGIN in service.cors_origins and len(service.cors_origins) > 1:
        sentence = '"*" allows every site, so that the others beside it have no effect'
        yield "cors_origins", sentence
    yield from _shared_tokens(configuration)
    yield from _dangers_of_database(service)
    for part, whole in _PARTS.items():
        if getattr(service, part) > getattr(service, whole):
            yield part, f"has no effect beyond {whole}, which is less"


def _dangers_of_database(service: ServiceSettings) -> Iterator[tuple[str, str]]:
    if service.database_path is not None:
        for key in sorted(_OF_A_SERVER & service.model_fields_set):
            yield key, "has no effect with sqlite:///"
    elif service.weak_durability:
        yield "weak_durability", _FORGETFUL


def _shared_tokens(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Tokens of the admin paths that others have as well."""
    service = configuration.service
    unknown = {None, SecretStr(PLACEHOLDER)}
    for name, source in configuration.sources.items():
        credentials = {*source.bearer_tokens, *source.signing_secrets} - unknown
        if service.admin_token in credentials:
            yield "admin_token", _ADMIN_TOO.format(name)
        if credentials.intersection(service.read_tokens):
            yield "read_tokens", _READ_TOO.format(name)
    if service.admin_token not in unknown and service.admin_token in service.read_tokens:
        yield "read_tokens", _OPERATES_TOO


def _dangers_of_source(
    source: SourceSettings, service: ServiceSettings
) -> Iterator[tuple[str, str]]:
    if source.authentication == "none":
        yield "authentication", "anybody who reaches the webhook can post conversions"
    if "match_keys_retention" in source.model_fields_set and not source.match_keys:
        yield "match_keys_retention", "has no effect without match_keys = true"
    if source.visitor_ip != "connection":
        return
    if not source.write_keys:
        yield "visitor_ip", "has no effect without write_keys: it is about events to /v1/…"
        return
    if any(ip_network(network).prefixlen == 0 for network in service.trusted_proxies):
        yield "visitor_ip", _EVERYBODY_IS_A_PROXY
    elif not service.trusted_proxies and service.host in LOOPBACK_HOSTS:
        yield "visitor_ip", _NOBODY_IS_A_PROXY


def _dangers_of_destination(settings: DestinationSettings) -> Iterator[tuple[str, str]]:
    if settings.test_event_code is not None:
        yield "test_event_code", "everything is sent as test events, which TikTok does not count"
    if settings.allow_any_api_host:
        yield "allow_any_api_host", "the access token may be sent to a host that is not TikTok's"
    if settings.mappings is not None and "presets" in settings.model_fields_set:
        yield "presets", "has no effect beside mappings"
    if "consent_when_missing" in settings.model_fields_set and not settings.consent_categories:
        yield "consent_when_missing", "has no effect without consent_categories"

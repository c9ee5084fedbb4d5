"""The configured destinations as the core sees them; the composition root's list of partners.

With `app` the only file that names concrete destinations. Reads preset files; opens nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from conversion_relay.core.filters import ConsentRule, WithoutConsent
from conversion_relay.core.plan import Target
from conversion_relay.core.preset import PresetDefinition, compile_presets
from conversion_relay.core.values import JsonObject
from conversion_relay.destinations.tiktok import sharing_checks
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.sharing import LimitedDataUse, Sharing
from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from conversion_relay.errors import ConfigurationError, PresetError
from conversion_relay.service.canary import event as canary
from conversion_relay.service.checks import Examined, Finding
from conversion_relay.service.preset_files import presets_folder, read_mappings, read_preset_set
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    SharingSettings,
)

_ONE_EACH: Final = re.compile(r"\n(?! )")
"""A problem with a trigger goes on below with an excerpt, which is indented."""
_CANARY_MAPPING: Final[JsonObject] = {
    "event_source": "web",
    "event": "ViewContent",
    "event_id": {"@path": "$.messageId"},
    "timestamp": {"@path": "$.timestamp"},
    "external_id": "0" * 64,
    "url": "https://example.com/conversion-relay",
}
"""As an external id: what no hash of a real id is."""
Place: TypeAlias = tuple[str, ...]
"""The keys on the way to a setting."""


def build_targets(
    configuration: Configuration, mappings: Path | None = None
) -> tuple[Target, ...]:
    """The configured destinations with their presets compiled.

    Args:
        configuration: of the service.
        mappings: a file of mappings that takes the place of every configured preset.

    Raises:
        ConfigurationError: what is to be shared cannot be, with every problem.
        PresetError: a preset file cannot be used, with every problem.
    """
    _require_sharing(configuration)
    return targets_of(configuration, definitions_of(configuration, mappings))


@dataclass(frozen=True, slots=True)
class Definitions:
    """The mappings of a destination, as they are written down.

    Attributes:
        origin: the file or setting they come from, for messages.
        presets: in their order.
    """

    origin: str
    presets: tuple[PresetDefinition, ...]


def definitions_of(
    configuration: Configuration, mappings: Path | None = None
) -> dict[str, Definitions]:
    """The mappings of every destination, by its name.

    Raises:
        PresetError: a preset file cannot be used, with every problem.
    """
    folder = configuration.service.presets_folder
    return {
        name: _definitions(settings, folder, mappings)
        for name, settings in configuration.destinations.items()
    }


def targets_of(
    configuration: Configuration, definitions: Mapping[str, Definitions]
) -> tuple[Target, ...]:
    """The configured destinations with these mappings, compiled.

    Raises:
        ConfigurationError: what is to be shared cannot be, with every problem.
        PresetError: a mapping cannot be used, with every problem.
    """
    _require_sharing(configuration)
    return tuple(
        _target(name, settings, definitions[name])
        for name, settings in configuration.destinations.items()
    )


def canary_targets(configuration: Configuration) -> tuple[Target, ...]:
    """Where the canary goes: every destination with a test event code for it.

    What it sends is of no person, so that nothing of it is kept from the partner.
    """
    codes = {name: one.own_test_event_code for name, one in configuration.destinations.items()}
    return tuple(
        _canary_target(name, configuration.destinations[name], code)
        for name, code in codes.items()
        if code is not None
    )


def _canary_target(name: str, settings: DestinationSettings, code: str) -> Target:
    destination = TikTokDestination(
        TikTokSettings(settings.pixel_code, code, partner_name=settings.partner_name)
    )
    definition = PresetDefinition(
        canary.MAPPING, canary.trigger_of(name), "reportWebEvent", _CANARY_MAPPING
    )
    presets = compile_presets((definition,), destination.actions, "the canary")
    return Target(name, destination, presets)


def examine(settings: DestinationSettings, folder: Path | None) -> Examined:
    """What the destination says of its settings; `folder` is the configured one of presets."""
    sharing = _sharing(settings.sharing)
    problems: list[Finding] = [
        (("sharing", key), what) for key, what in sharing_checks.sharing_problems(sharing)
    ]
    warnings: list[Finding] = [
        (("sharing", key), what) for key, what in sharing_checks.sharing_warnings(sharing)
    ]
    try:
        count = len(_target("", settings, _definitions(settings, folder, None)).presets)
    except PresetError as error:
        setting, count = "presets" if settings.mappings is None else "mappings", 0
        problems += [((setting,), one) for one in _ONE_EACH.split(str(error))]
    return Examined(count, problems, warnings)


def sharing_problems(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """The place of each setting of sharing that the destination cannot use, and a sentence."""
    yield from _said_of_sharing(configuration, sharing_checks.sharing_problems)


def sharing_warnings(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """The same of what can be used, and is probably not meant."""
    yield from _said_of_sharing(configuration, sharing_checks.sharing_warnings)


def _said_of_sharing(
    configuration: Configuration, check: Callable[[Sharing], Iterable[tuple[str, str]]]
) -> Iterator[tuple[Place, str]]:
    for name, settings in configuration.destinations.items():
        for key, sentence in check(_sharing(settings.sharing)):
            yield ("destinations", name, "sharing", key), sentence


def _sharing(settings: SharingSettings) -> Sharing:
    return Sharing(
        leave_out=settings.leave_out,
        hash=settings.hash,
        strip_url_parameters=settings.strip_url_parameters,
        truncate_ip=settings.truncate_ip,
        limited_data_use=LimitedDataUse(settings.limited_data_use),
        limited_data_use_regions=settings.limited_data_use_regions,
        limited_data_use_when_unknown=settings.limited_data_use_when_unknown,
    )


def _require_sharing(configuration: Configuration) -> None:
    problems = [f"- {'.'.join(place)}: {what}" for place, what in sharing_problems(configuration)]
    if problems:
        raise ConfigurationError("\n".join(["The configuration cannot be used:", *problems]))


def _target(name: str, settings: DestinationSettings, definitions: Definitions) -> Target:
    destination = TikTokDestination(
        TikTokSettings(
            pixel_code=settings.pixel_code,
            test_event_code=settings.test_event_code,
            default_phone_region=settings.default_phone_region,
            lower_case_external_id=settings.lower_case_external_id,
            partner_name=settings.partner_name,
            sharing=_sharing(settings.sharing),
        )
    )
    presets = compile_presets(definitions.presets, destination.actions, definitions.origin)
    consent = ConsentRule(
        settings.consent_categories, WithoutConsent(settings.consent_when_missing)
    )
    return Target(name, destination, presets, settings.on_invalid_field, consent)


def _definitions(
    settings: DestinationSettings, folder: Path | None, mappings: Path | None
) -> Definitions:
    """The presets of a destination, and where they come from."""
    own = mappings or settings.mappings
    if own is not None:
        return Definitions(str(own), read_mappings(own))
    found = presets_folder(folder)
    return Definitions(f"{settings.presets}.json", read_preset_set(settings.presets, found))

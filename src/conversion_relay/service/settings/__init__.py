"""What can be configured, with its defaults and limits.

These models are the border: they are filled from the environment or a TOML file by
`configuration.py` and are frozen from then on. Knows no file and no environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from conversion_relay.service.settings.alerts import AlertSettings, CanarySettings
from conversion_relay.service.settings.destination import DestinationSettings, SharingSettings
from conversion_relay.service.settings.kinds import LOOPBACK_HOSTS, TIKTOK_API_URL, Settings
from conversion_relay.service.settings.service import ServiceSettings
from conversion_relay.service.settings.source import SourceSettings

__all__ = [
    "GROUPS",
    "LOOPBACK_HOSTS",
    "NAMED",
    "TIKTOK_API_URL",
    "AlertSettings",
    "CanarySettings",
    "Configuration",
    "DestinationSettings",
    "ServiceSettings",
    "SharingSettings",
    "SourceSettings",
]

_NAME: Final = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"


def _checked_name(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        message = (
            'the name has to be of 1 to 63 letters (a to z), digits, "-" and "_", '
            "the first one a letter or a digit"
        )
        raise ValueError(message)
    return name


Name = Annotated[
    str,
    AfterValidator(_checked_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"}),
]


class Configuration(Settings):
    """Sources, destinations and the service of conversion-relay."""

    service: ServiceSettings = Field(default=ServiceSettings(), description="the service itself")
    alerts: AlertSettings = Field(
        default=AlertSettings(), description="who is told that the flow is broken"
    )
    canary: CanarySettings = Field(
        default=CanarySettings(), description="a test event that regularly goes the whole way"
    )
    sources: dict[Name, SourceSettings] = Field(
        description="who may post events, by name", min_length=1
    )
    destinations: dict[Name, DestinationSettings] = Field(
        description="where events go: TikTok's pixels, by name", min_length=1
    )

    def destinations_of(self, source: str) -> tuple[str, ...]:
        """The names of the destinations that get the source's events."""
        chosen = self.sources[source].destinations
        return tuple(self.destinations) if chosen is None else chosen


GROUPS: Final[Mapping[str, type[Settings]]] = {
    "service": ServiceSettings,
    "alerts": AlertSettings,
    "canary": CanarySettings,
    "sources": SourceSettings,
    "destinations": DestinationSettings,
}
"""What stands under each part of the configuration; under sources and destinations, by name."""
NAMED: Final = frozenset({"sources", "destinations"})
"""The parts of which there are several, each under a name."""

"""What can be configured, with its defaults and limits.

These models are the border: they are filled from the environment or a TOML file by
`configuration.py` and are frozen from then on. Knows no file and no environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from conversion_relay.service.settings.destination import DestinationSettings, SharingSettings
from conversion_relay.service.settings.kinds import LOOPBACK_HOSTS, TIKTOK_API_URL, Settings
from conversion_relay.service.settings.service import ServiceSettings
from conversion_relay.service.settings.source import SourceSettings

__all__ = [
    "LOOPBACK_HOSTS",
    "TIKTOK_API_URL",
    "Configuration",
    "DestinationSettings",
    "ServiceSettings",
    "SharingSettings",
    "SourceSettings",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def _checked_names(value: dict[str, Settings]) -> dict[str, Settings]:
    for name in value:
        if not _NAME.fullmatch(name):
            message = f'the name "{name}" may hold letters, digits, "-" and "_" only'
            raise ValueError(message)
    return value


class Configuration(Settings):
    """Everything that can be configured."""

    service: ServiceSettings = ServiceSettings()
    sources: Annotated[
        dict[str, SourceSettings], Field(min_length=1), AfterValidator(_checked_names)
    ]
    destinations: Annotated[
        dict[str, DestinationSettings], Field(min_length=1), AfterValidator(_checked_names)
    ]

    def destinations_of(self, source: str) -> tuple[str, ...]:
        """The names of the destinations that get the source's events."""
        chosen = self.sources[source].destinations
        return tuple(self.destinations) if chosen is None else chosen

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Routes lead to destinations that exist, and a write key belongs to one source."""
        for name, source in self.sources.items():
            for one in source.destinations or ():
                if one not in self.destinations:
                    known = ", ".join(self.destinations)
                    message = f'sources.{name}.destinations: there is no "{one}"; known: {known}'
                    raise ValueError(message)
        owners: dict[str, str] = {}
        for name, source in self.sources.items():
            for key in source.write_keys:
                other = owners.setdefault(key.get_secret_value(), name)
                if other != name:
                    message = f"sources.{name}.write_keys: sources.{other} has the same write key"
                    raise ValueError(message)
        return self

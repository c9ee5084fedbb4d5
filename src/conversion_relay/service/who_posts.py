"""The sources that the settings name, and the canary's: who may post, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from conversion_relay.core.plan import Target
from conversion_relay.service.canary.event import BEARER
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source
from conversion_relay.service.settings import Configuration, SourceSettings
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.targets import canary_targets


def sources_of(configuration: Configuration, targets: Sequence[Target]) -> list[Source]:
    """The configured sources, with the destinations each of them feeds; and the canary's."""
    found = []
    for name, settings in configuration.sources.items():
        routes = configuration.destinations_of(name)
        found.append(
            Source(
                name,
                credentials_of(settings),
                tuple(target for target in targets if target.name in routes),
                settings.rate_limit,
                settings.visitor_ip == "connection",
                settings.remembers_for,
            )
        )
    if configuration.canary.enabled:
        found.append(_canary(configuration))
    return found


def credentials_of(settings: SourceSettings) -> Credentials:
    """What the source accepts."""
    return Credentials(
        _encoded(settings.signing_secrets),
        _encoded(settings.bearer_tokens),
        _encoded(settings.write_keys),
        open_to_all=settings.authentication == "none",
    )


def _encoded(secrets: Sequence[SecretStr]) -> tuple[bytes, ...]:
    return tuple(secret.get_secret_value().encode() for secret in secrets)


def _canary(configuration: Configuration) -> Source:
    """The source that nobody but this process can post to."""
    credentials = Credentials(bearer_tokens=(BEARER.encode(),))
    return Source(CANARY_SOURCE, credentials, canary_targets(configuration))

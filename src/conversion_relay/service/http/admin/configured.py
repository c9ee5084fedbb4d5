"""The admin paths of what is configured: sources and destinations, without any secret.

Knows the settings; not where they come from, nor how anything stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, Protocol

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from conversion_relay.service.http.admin.shown import Shown
from conversion_relay.service.settings import (
    CanarySettings,
    Configuration,
    DestinationSettings,
    SourceSettings,
)

SOURCES: Final = "/api/sources"
DESTINATIONS: Final = "/api/destinations"


class Standing(Protocol):
    """How the canary of a destination fares."""

    @property
    def last_success_at(self) -> datetime | None:
        """When it came through last."""
        ...

    @property
    def last_failure_at(self) -> datetime | None:
        """When it failed last."""
        ...

    @property
    def failing_since(self) -> datetime | None:
        """None: it comes through."""
        ...

    @property
    def failures(self) -> int:
        """In a row."""
        ...

    @property
    def reason(self) -> str | None:
        """Why it failed last; None: it comes through."""
        ...


class ConfiguredSource(Shown):
    """A configured source."""

    name: str
    authentication: Literal["required", "none"]
    signing_secrets: Annotated[int, Field(description="how many are accepted")]
    bearer_tokens: Annotated[int, Field(description="how many are accepted")]
    write_keys: Annotated[int, Field(description="how many are accepted")]
    destinations: Annotated[list[str], Field(description="that get its events")]
    rate_limit: Annotated[int | None, Field(description="events a second; null: any number")]
    visitor_ip: Literal["event", "connection"]
    remembers_seconds: Annotated[
        float | None, Field(description="how long match keys are remembered; null: they are not")
    ]


class SourcesAnswer(BaseModel):
    """The configured sources."""

    sources: list[ConfiguredSource]


class CanaryShown(Shown):
    """The canary of a destination: a test event that regularly goes the whole way."""

    reach: Annotated[
        Literal["off", "to_the_store", "to_the_partner"],
        Field(description="how far it goes; to the partner only with a test event code"),
    ]
    every_seconds: Annotated[float | None, Field(description="null: it is off")]
    last_success_at: Annotated[AwareDatetime | None, Field(description="since the start")] = None
    last_failure_at: Annotated[AwareDatetime | None, Field(description="since the start")] = None
    failing_since: Annotated[AwareDatetime | None, Field(description="null: it fails not")] = None
    failures: Annotated[int, Field(description="in a row")] = 0
    reason: Annotated[str | None, Field(description="why it failed last")] = None


class ConfiguredDestination(Shown):
    """A configured destination. How its lane is now, /api/lanes says."""

    name: str
    pixel_code: str
    api_url: str
    presets: Annotated[str | None, Field(description="null: a file of mappings is used instead")]
    has_own_mappings: bool
    sends_test_events: Annotated[bool, Field(description="everything, which TikTok counts not")]
    canary: CanaryShown
    on_invalid_field: str
    consent_categories: list[str]
    retry_horizon_seconds: float
    max_requests_in_flight: int
    sources: Annotated[list[str], Field(description="whose events it gets")]


class DestinationsAnswer(BaseModel):
    """The configured destinations."""

    destinations: list[ConfiguredDestination]


@dataclass(frozen=True, slots=True)
class InEffect:
    """What is asked for what is shown.

    Attributes:
        configuration: gives that which is in effect.
        canaries: gives how canaries fare, by destination, as far as there are any.
    """

    configuration: Callable[[], Configuration]
    canaries: Callable[[], Mapping[str, Standing]]


def configured_router(in_effect: InEffect) -> APIRouter:
    """The paths."""
    router = APIRouter()

    @router.get(SOURCES, summary="The configured sources, without secrets")
    async def sources() -> SourcesAnswer:
        configuration = in_effect.configuration()
        routes = {name: configuration.destinations_of(name) for name in configuration.sources}
        return SourcesAnswer(
            sources=[
                _source(name, settings, list(routes[name]))
                for name, settings in configuration.sources.items()
            ]
        )

    @router.get(DESTINATIONS, summary="The configured destinations, without secrets")
    async def destinations() -> DestinationsAnswer:
        configuration = in_effect.configuration()
        canaries = in_effect.canaries()
        shown = [
            _destination(name, configuration, canaries.get(name))
            for name in configuration.destinations
        ]
        return DestinationsAnswer(destinations=shown)

    return router


def _source(name: str, settings: SourceSettings, destinations: list[str]) -> ConfiguredSource:
    remembers = settings.remembers_for
    return ConfiguredSource(
        name=name,
        authentication=settings.authentication,
        signing_secrets=len(settings.signing_secrets),
        bearer_tokens=len(settings.bearer_tokens),
        write_keys=len(settings.write_keys),
        destinations=destinations,
        rate_limit=settings.rate_limit,
        visitor_ip=settings.visitor_ip,
        remembers_seconds=None if remembers is None else remembers.total_seconds(),
    )


def _destination(
    name: str, configuration: Configuration, standing: Standing | None
) -> ConfiguredDestination:
    settings = configuration.destinations[name]
    own = settings.mappings is not None
    return ConfiguredDestination(
        name=name,
        pixel_code=settings.pixel_code,
        api_url=settings.api_url,
        presets=None if own else settings.presets,
        has_own_mappings=own,
        sends_test_events=settings.test_event_code is not None,
        canary=_canary(settings, configuration.canary, standing),
        on_invalid_field=settings.on_invalid_field.value,
        consent_categories=list(settings.consent_categories),
        retry_horizon_seconds=settings.horizon.total_seconds(),
        max_requests_in_flight=settings.max_requests_in_flight,
        sources=[
            one for one in configuration.sources if name in configuration.destinations_of(one)
        ],
    )


def _canary(
    settings: DestinationSettings, canary: CanarySettings, standing: Standing | None
) -> CanaryShown:
    if not canary.enabled:
        return CanaryShown(reach="off", every_seconds=None)
    shown = CanaryShown(
        reach="to_the_partner" if settings.own_test_event_code else "to_the_store",
        every_seconds=canary.every.total_seconds(),
    )
    if standing is None:
        return shown
    return shown.model_copy(
        update={
            "last_success_at": standing.last_success_at,
            "last_failure_at": standing.last_failure_at,
            "failing_since": standing.failing_since,
            "failures": standing.failures,
            "reason": standing.reason,
        }
    )

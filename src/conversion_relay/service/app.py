"""The composition root: names the concrete destinations and stores, owns the clock and the dice.

Builds the parts from a configuration, ties them together, and takes them down again in order:
first the door, then the workers, then the store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Route as HttpRoute

from conversion_relay import __version__
from conversion_relay.core.delivery import RetryPolicy
from conversion_relay.core.lane import LanePolicy
from conversion_relay.core.plan import Target
from conversion_relay.core.preset import PresetDefinition, compile_presets
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from conversion_relay.service.dispatch import Dispatch, Wire
from conversion_relay.service.housekeeping import Housekeeping
from conversion_relay.service.http.admin import admin_router
from conversion_relay.service.http.backfill import Backfill, backfill_router
from conversion_relay.service.http.body import BodyLimits
from conversion_relay.service.http.ingest import Webhook
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.lanes import lanes_router
from conversion_relay.service.http.operations import AdminGuard, operations_router
from conversion_relay.service.http.problems import answer_with_problems
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.preset_files import presets_folder, read_mappings, read_preset_set
from conversion_relay.service.relay import Relay
from conversion_relay.service.replay import Replay
from conversion_relay.service.sealing import Sealer, load_or_create_keys
from conversion_relay.service.sender import Sender, SenderLimits
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SourceSettings,
)
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.sqlite import open_store, require_free
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.worker import Worker

Connect: TypeAlias = Callable[
    [DestinationSettings, Callable[[], datetime]], AbstractAsyncContextManager[Wire]
]


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def build_targets(
    configuration: Configuration, mappings: Path | None = None
) -> tuple[Target, ...]:
    """The configured destinations with their presets compiled.

    Args:
        configuration: of the service.
        mappings: a file of mappings that takes the place of every configured preset.

    Raises:
        PresetError: a preset file cannot be used, with every problem.
    """
    folder = configuration.service.presets_folder
    return tuple(
        _target(name, settings, folder, mappings)
        for name, settings in configuration.destinations.items()
    )


def _target(
    name: str, settings: DestinationSettings, folder: Path | None, mappings: Path | None
) -> Target:
    destination = TikTokDestination(
        TikTokSettings(
            pixel_code=settings.pixel_code,
            test_event_code=settings.test_event_code,
            default_phone_region=settings.default_phone_region,
            lower_case_external_id=settings.lower_case_external_id,
            partner_name=settings.partner_name,
        )
    )
    definitions, origin = _definitions(settings, folder, mappings)
    presets = compile_presets(definitions, destination.actions, origin)
    return Target(name, destination, presets, settings.on_invalid_field)


def _definitions(
    settings: DestinationSettings, folder: Path | None, mappings: Path | None
) -> tuple[tuple[PresetDefinition, ...], str]:
    """The presets of a destination, and where they come from."""
    own = mappings or settings.mappings
    if own is not None:
        return read_mappings(own), str(own)
    found = presets_folder(folder)
    return read_preset_set(settings.presets, found), f"{settings.presets}.json"


def connect(
    settings: DestinationSettings, clock: Callable[[], datetime]
) -> AbstractAsyncContextManager[Wire]:
    """The connections to a destination's API."""
    limits = SenderLimits(max_connections=settings.max_requests_in_flight)
    return Sender(settings.api_url, limits, clock, _plain(settings.proxy_url))


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service takes from the world around it; tests give it another one.

    Attributes:
        clock: gives the present, aware.
        jitter: gives a number in [0, 1).
        sleep: waits so many seconds.
        connect: opens the connections to a destination.
    """

    clock: Callable[[], datetime] = now
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    connect: Connect = connect


@asynccontextmanager
async def open_relay(
    configuration: Configuration, log: Log, outside: Outside | None = None
) -> AsyncIterator[Relay]:
    """The service with its store open; its workers run inside `Relay.delivering()`.

    Raises:
        RelayError: the configuration or the database cannot be used.
    """
    world = outside or Outside()
    targets = build_targets(configuration)
    around = Surroundings(world.clock, world.jitter, Metrics(), log, world.sleep)
    async with AsyncExitStack() as stack:
        store = await _open_store(configuration.service, world.clock())
        stack.push_async_callback(store.close)
        workers = {}
        for target in targets:
            settings = configuration.destinations[target.name]
            wire = await stack.enter_async_context(world.connect(settings, world.clock))
            workers[target.name] = _worker(target, settings, wire, store, around)
        relay = Relay(store, workers, _bare_application())
        house = Housekeeping(store.sweep, configuration.service.retentions, around)
        relay.background.append(house.run)
        intake = Intake(
            sources=_sources(configuration, targets),
            store=store,
            limits=_ingest_limits(configuration.service),
            clock=world.clock,
            arrived=relay.wake,
            metrics=around.metrics,
            log=log,
        )
        _add_paths(relay, intake, configuration.service)
        yield relay


def _refusable(settings: DestinationSettings) -> str:
    """What the partner may refuse besides the token."""
    parts = (settings.api_url, settings.pixel_code, settings.test_event_code)
    return repr((*parts, settings.partner_name))


def _worker(
    target: Target,
    settings: DestinationSettings,
    wire: Wire,
    store: Store,
    around: Surroundings,
) -> Worker:
    token = settings.access_token.get_secret_value()
    lane = LaneKeeper(target.name, token, _refusable(settings), store, LanePolicy(), around)
    dispatch = Dispatch(
        target.name,
        target.destination,
        wire,
        lane,
        store,
        RetryPolicy(horizon=settings.horizon),
        around,
    )
    return Worker(dispatch, store, settings.max_requests_in_flight, around)


async def _open_store(settings: ServiceSettings, present: datetime) -> Store:
    path = settings.database_path
    require_free(path)
    keys = load_or_create_keys(_plain(settings.encryption_key), path)
    return await open_store(path, Sealer(keys), now=present)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _sources(configuration: Configuration, targets: Sequence[Target]) -> Sources:
    found = []
    for name, settings in configuration.sources.items():
        routes = configuration.destinations_of(name)
        found.append(
            Source(
                name,
                _credentials(settings),
                tuple(target for target in targets if target.name in routes),
                settings.rate_limit,
                settings.visitor_ip == "connection",
                settings.remembers_for,
            )
        )
    return Sources.of(found)


def _credentials(settings: SourceSettings) -> Credentials:
    return Credentials(
        _encoded(settings.signing_secrets),
        _encoded(settings.bearer_tokens),
        _encoded(settings.write_keys),
        open_to_all=settings.authentication == "none",
    )


def _encoded(secrets: Sequence[SecretStr]) -> tuple[bytes, ...]:
    return tuple(secret.get_secret_value().encode() for secret in secrets)


def _ingest_limits(settings: ServiceSettings) -> IngestLimits:
    return IngestLimits(
        BodyLimits(settings.max_body_bytes, settings.receive_seconds),
        settings.max_event_bytes,
        settings.max_batch_events,
    )


def _bare_application() -> FastAPI:
    application = FastAPI(
        title="conversion-relay",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    answer_with_problems(application)
    return application


def _replay(intake: Intake) -> Replay:
    """Plans with the targets and limits of the door."""
    replan = intake.planner.plan_received
    return Replay(intake.store, replan, intake.clock, intake.arrived, intake.log)


def _add_paths(relay: Relay, intake: Intake, settings: ServiceSettings) -> None:
    """The webhook stands in front of FastAPI's own routing, which would cost it half its speed."""
    webhook, methods = Webhook(intake), ["POST", "PUT", "PATCH"]
    for path in ("/webhook/{source}/", "/webhook/{source}"):  # a redirect would cost the event
        relay.http.router.routes.insert(0, HttpRoute(path, webhook, methods=methods))
    relay.http.include_router(operations_router(intake.metrics, relay.unready))
    relay.http.include_router(admin_router(relay.store, _replay(intake), intake.log))
    relay.http.include_router(lanes_router(relay.workers))
    relay.http.include_router(backfill_router(Backfill(intake)))
    relay.http.add_middleware(AdminGuard, token=_plain(settings.admin_token))

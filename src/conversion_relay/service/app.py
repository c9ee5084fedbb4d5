"""The composition root: names the concrete destinations and stores, owns the clock and the dice.

Builds the parts from a configuration, ties them together, and takes them down again in order:
first the door, then the workers, then the store.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Route as HttpRoute
from typing_extensions import override

from conversion_relay import __version__
from conversion_relay.core.delivery import RetryPolicy
from conversion_relay.core.plan import Target
from conversion_relay.core.preset import PresetDefinition, compile_presets
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from conversion_relay.errors import StoreError
from conversion_relay.service.http.body import BodyLimits
from conversion_relay.service.http.ingest import IngestLimits, Webhook
from conversion_relay.service.http.operations import AdminGuard, operations_router
from conversion_relay.service.http.problems import answer_with_problems
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.listening import listen
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.preset_files import presets_folder, read_mappings, read_preset_set
from conversion_relay.service.sealing import Sealer, load_or_create_key
from conversion_relay.service.sender import Sender, SenderLimits
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SourceSettings,
)
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.sqlite import open_store
from conversion_relay.service.worker import Route, Worker

_GRACEFUL_STOP_SECONDS = 10
_KEEP_ALIVE_SECONDS = 30


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


@dataclass(slots=True)
class Relay:
    """The running service: its store, its workers and its HTTP application."""

    store: Store
    workers: tuple[Worker, ...]
    http: FastAPI
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    def wake(self) -> None:
        """Tells every worker that something arrived."""
        for worker in self.workers:
            worker.wake()

    async def unready(self) -> str | None:
        """Why the service cannot do its work, or None when it can."""
        if not self._running or any(task.done() for task in self._running):
            return "A delivery worker is not running."
        try:
            for worker in self.workers:
                await self.store.next_due(worker.route.name)
        except StoreError as error:
            return f"The store does not answer: {error}."
        trouble = self.store.trouble()
        return f"Nothing could be written last time: {trouble}." if trouble else None

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Runs the workers; on leaving, waits for what is on its way."""
        self._running = [asyncio.create_task(worker.run()) for worker in self.workers]
        try:
            yield
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)


@asynccontextmanager
async def open_relay(
    configuration: Configuration, log: Log, clock: Callable[[], datetime] = now
) -> AsyncIterator[Relay]:
    """The service with its store open; its workers run inside `Relay.delivering()`.

    Raises:
        RelayError: the configuration or the database cannot be used.
    """
    targets = build_targets(configuration)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = await _open_store(configuration.service, clock())
        stack.push_async_callback(store.close)
        workers = []
        for target in targets:
            settings = configuration.destinations[target.name]
            limits = SenderLimits(max_connections=settings.max_requests_in_flight)
            wire = await stack.enter_async_context(Sender(settings.api_url, limits))
            token = settings.access_token.get_secret_value()
            in_flight = settings.max_requests_in_flight
            route = Route(target.name, target.destination, token, wire, in_flight)
            workers.append(Worker(route, store, RetryPolicy(), clock, random.random, metrics, log))
        relay = Relay(store, tuple(workers), _bare_application())
        webhook = Webhook(
            sources={name: _credentials(one) for name, one in configuration.sources.items()},
            targets=targets,
            store=store,
            limits=_ingest_limits(configuration.service),
            clock=clock,
            arrived=relay.wake,
            metrics=metrics,
            log=log,
        )
        _add_paths(relay, webhook, configuration.service)
        yield relay


async def _open_store(settings: ServiceSettings, present: datetime) -> Store:
    path = settings.database_path
    key = load_or_create_key(_plain(settings.encryption_key), path)
    return await open_store(path, Sealer((key,)), now=present)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _credentials(settings: SourceSettings) -> Credentials:
    return Credentials(
        tuple(secret.get_secret_value().encode() for secret in settings.signing_secrets),
        tuple(token.get_secret_value().encode() for token in settings.bearer_tokens),
    )


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


def _add_paths(relay: Relay, webhook: Webhook, settings: ServiceSettings) -> None:
    """The webhook stands in front of FastAPI's own routing, which would cost it half its speed."""
    methods = ["POST", "PUT", "PATCH"]
    for path in ("/webhook/{source}/", "/webhook/{source}"):  # a redirect would cost the event
        relay.http.router.routes.insert(0, HttpRoute(path, webhook, methods=methods))
    relay.http.include_router(operations_router(relay.store, webhook.metrics, relay.unready))
    relay.http.add_middleware(AdminGuard, token=_plain(settings.admin_token))


def run(configuration: Configuration, log: Log) -> None:
    """Runs the service until SIGTERM or SIGINT; a second one ends it at once.

    Raises:
        RelayError: it cannot start.
    """
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(configuration, log))


async def _serve(configuration: Configuration, log: Log) -> None:
    settings = configuration.service
    with listen(settings.host, settings.port) as listener:
        async with open_relay(configuration, log) as relay, relay.delivering():
            log.info(
                "service.starting",
                version=__version__,
                host=settings.host,
                port=settings.port,
                sources=sorted(configuration.sources),
                destinations=sorted(configuration.destinations),
                database=settings.database_url,
            )
            await _Server(_server_settings(relay.http)).serve(sockets=[listener])
            log.info("service.stopping")
        log.info("service.stopped")


class _Server(uvicorn.Server):
    """Stops on the first signal and comes back, so that workers and store are closed after it.

    uvicorn's own handling raises the signal again once it has stopped, which ends the process
    before them.
    """

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        if self.should_exit:
            os._exit(128 + number)  # what was acknowledged is on the disk
        self.should_exit = True


def _server_settings(application: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_STOP_SECONDS,
    )

"""The composition root: names the concrete destinations and stores, owns the clock and the dice.

Builds the parts from a configuration, ties them together, and takes them down again in order:
first the door, then the workers, then the store.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from pydantic import SecretStr

from conversion_relay.core.delivery import RetryPolicy
from conversion_relay.core.lane import Lane, LanePolicy
from conversion_relay.core.plan import Target
from conversion_relay.service.alerting.outbox import outbox_of
from conversion_relay.service.application import (
    add_paths,
    bare_application,
    limits_of,
    open_to_pages,
)
from conversion_relay.service.attribution import Attributed
from conversion_relay.service.canary.canary import Canary
from conversion_relay.service.changing import reloader_of
from conversion_relay.service.dispatch import Dispatch, Wire
from conversion_relay.service.fleet import Fleet, refusable
from conversion_relay.service.housekeeping import Housekeeping
from conversion_relay.service.http.edge.entrance import add_gate, door_of
from conversion_relay.service.http.edge.turned_away import TurnedAway
from conversion_relay.service.http.identification import Identification
from conversion_relay.service.http.intake import Intake
from conversion_relay.service.http.sources import Sources
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.overseeing import monitor_of
from conversion_relay.service.place import holds_data
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.steps import Start
from conversion_relay.service.reload.verification import Verification
from conversion_relay.service.sealing import Sealer, load_or_create_keys
from conversion_relay.service.sender import Sender, SenderLimits
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
)
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.sqlite import open_store, require_free
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.targets import build_targets
from conversion_relay.service.tracing import OpenTraces, traces
from conversion_relay.service.who_posts import sources_of
from conversion_relay.service.worker import Worker

Connect: TypeAlias = Callable[
    [DestinationSettings, Callable[[], datetime]], AbstractAsyncContextManager[Wire]
]
OpenStore: TypeAlias = Callable[[ServiceSettings, datetime, Metrics], Awaitable[Store]]


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A messageId that nothing else has."""
    return f"relay-{uuid.uuid4()}"


def connect(
    settings: DestinationSettings, clock: Callable[[], datetime]
) -> AbstractAsyncContextManager[Wire]:
    """The connections to a destination's API."""
    limits = SenderLimits(max_connections=settings.max_requests_in_flight)
    return Sender(settings.api_url, limits, clock, _plain(settings.proxy_url))


async def keep_in_database(
    settings: ServiceSettings, present: datetime, metrics: Metrics
) -> Store:
    """The store on this machine's disk, which counts how long its commits take.

    Raises:
        RelayError: it cannot be used.
    """
    path = settings.database_path
    require_free(path)
    keys = load_or_create_keys(_plain(settings.encryption_key), path)
    observe = metrics.commit_seconds.observe
    return await open_store(path, Sealer(keys), now=present, commit_seconds=observe)


async def newest_version(settings: ServiceSettings) -> VersionRecord | None:
    """The configuration that was kept last in this database; None: there is none.

    Raises:
        RelayError: the database cannot be used.
    """
    if not holds_data(settings.database_path):
        return None
    store = await keep_in_database(settings, now(), Metrics())
    try:
        return next(iter(await store.history.versions(1)), None)
    finally:
        await store.close()


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service takes from the world around it; tests give it another one.

    Attributes:
        clock: gives the present, aware.
        jitter: gives a number in [0, 1).
        sleep: waits so many seconds.
        connect: opens the connections to a destination.
        new_id: gives a messageId that nothing else has.
        monotonic: gives seconds that never go back.
        traces: opens what follows the work, where that is wanted.
        open_store: opens what keeps events.
    """

    clock: Callable[[], datetime] = now
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    connect: Connect = connect
    new_id: Callable[[], str] = new_id
    monotonic: Callable[[], float] = time.monotonic
    traces: OpenTraces = traces
    open_store: OpenStore = keep_in_database


@asynccontextmanager
async def open_relay(
    configuration: Configuration,
    log: Log,
    outside: Outside | None = None,
    start: Start | None = None,
) -> AsyncIterator[Relay]:
    """The service with its store open; its workers run inside `Relay.delivering()`.

    Args:
        configuration: to begin with.
        log: of the process.
        outside: the world around it.
        start: where the configuration comes from, so that it can be changed while it runs.

    Raises:
        RelayError: the configuration or the database cannot be used.
    """
    world = outside or Outside()
    targets = start.candidate.targets if start else build_targets(configuration)
    async with AsyncExitStack() as stack:
        tracer = stack.enter_context(world.traces(wanted=configuration.service.tracing))
        lines, metrics = Attributed(log), Metrics()
        metrics.expect(targets)
        around = Surroundings(world.clock, world.jitter, metrics, lines, world.sleep, tracer)
        store = await world.open_store(configuration.service, world.clock(), metrics)
        stack.push_async_callback(store.close)
        fleet = Fleet(partial(_open_worker, store=store, around=around, world=world))
        stack.push_async_callback(fleet.close)
        fleet.swap(await fleet.prepare(configuration, targets))
        away = TurnedAway(around.metrics, log, world.monotonic)
        door = door_of(configuration.service, away)
        relay = Relay(configuration, targets, store, fleet, bare_application(), door)
        relay.adopting.append(lambda _, present: metrics.expect(present))
        _keep_house(relay, around)
        _add_canary(relay, around, world)
        _add_alerts(relay, around)
        _open_ways_in(relay, around, world, start)
        add_gate(relay.http, configuration.service, away)
        open_to_pages(relay.http, configuration.service)
        relay.http.add_middleware(Identification, new_id=world.new_id)
        yield relay


def _keep_house(relay: Relay, around: Surroundings) -> None:
    retention = relay.configuration.service.retentions
    house = Housekeeping(relay.store.sweep, retention, around)
    relay.background.append(house.run)
    relay.adopting.append(lambda present, _: house.keep_for(present.service.retentions))


def _add_alerts(relay: Relay, around: Surroundings) -> None:
    outbox = outbox_of(relay.configuration.alerts, around)
    relay.monitor = monitor_of(relay, outbox.notify, around)
    relay.background.extend((outbox.run, relay.monitor.run))
    relay.adopting.append(lambda present, _: outbox.configure(present.alerts))


def _add_canary(relay: Relay, around: Surroundings, world: Outside) -> None:
    """Whoever listens lets it fly."""

    def lane(name: str) -> Lane | None:
        worker = relay.workers.get(name)
        return None if worker is None else worker.lane

    relay.canary = canary = Canary(relay.store, lane, around, world.new_id)
    relay.canaries = lambda: canary.standings
    canary.configure(relay.configuration)
    relay.adopting.append(lambda present, _: canary.configure(present))


def _open_ways_in(relay: Relay, around: Surroundings, world: Outside, start: Start | None) -> None:
    intake = Intake(
        sources=Sources.of(sources_of(relay.configuration, relay.targets)),
        store=relay.store,
        limits=limits_of(relay.configuration.service),
        clock=world.clock,
        arrived=relay.wake,
        metrics=around.metrics,
        log=around.log,
        monotonic=world.monotonic,
        tracer=around.tracer,
    )
    relay.adopting.append(lambda *present: intake.adopt(sources_of(*present)))
    if start is not None:
        verification = Verification(world.connect, world.clock, world.sleep)
        relay.reloader = reloader_of(relay, start, verification, around)
    add_paths(relay, intake, relay.configuration.service, world.new_id)


@asynccontextmanager
async def _open_worker(
    target: Target,
    settings: DestinationSettings,
    *,
    store: Store,
    around: Surroundings,
    world: Outside,
) -> AsyncIterator[Worker]:
    async with world.connect(settings, world.clock) as wire:
        yield _worker(target, settings, wire, store, around)


def _worker(
    target: Target,
    settings: DestinationSettings,
    wire: Wire,
    store: Store,
    around: Surroundings,
) -> Worker:
    token, refused = settings.access_token.get_secret_value(), repr(refusable(settings))
    lane = LaneKeeper(target.name, token, refused, store, LanePolicy(), around)
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


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

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

from conversion_relay import __version__
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
from conversion_relay.service.node import Arrivals, Heart
from conversion_relay.service.overseeing import monitor_of
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.steps import Start
from conversion_relay.service.reload.verification import Verification
from conversion_relay.service.sender import Sender, SenderLimits
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
)
from conversion_relay.service.spool.spooling import SpoolingStore
from conversion_relay.service.store.cluster import NodeStanding, Role, Topic
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.store.port import Store
from conversion_relay.service.stores import OpenStore, keep_in_database, newest_kept, with_spool
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.targets import build_targets
from conversion_relay.service.tracing import OpenTraces, traces
from conversion_relay.service.who_posts import sources_of
from conversion_relay.service.worker import Worker

Connect: TypeAlias = Callable[
    [DestinationSettings, Callable[[], datetime]], AbstractAsyncContextManager[Wire]
]


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


async def newest_version(settings: ServiceSettings) -> VersionRecord | None:
    """The configuration that was kept last in this database; None: there is none.

    Raises:
        RelayError: the database cannot be used.
    """
    return await newest_kept(settings, now())


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
    role: Role = Role.ALL,
) -> AsyncIterator[Relay]:
    """The service with its store open; its workers run inside `Relay.delivering()`.

    Args:
        configuration: to begin with.
        log: of the process.
        outside: the world around it.
        start: where the configuration comes from, so that it can be changed while it runs.
        role: what this process does of the work.

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
        store = await with_spool(store, configuration.service, around)
        stack.push_async_callback(store.close)
        build = partial(_open_worker, store=store, around=around, world=world)
        fleet = Fleet(build, works=role is not Role.INGEST)
        stack.push_async_callback(fleet.close)
        fleet.swap(await fleet.prepare(configuration, targets))
        away = TurnedAway(around.metrics, log, world.monotonic)
        door = door_of(configuration.service, away)
        relay = Relay(configuration, targets, store, fleet, bare_application(), door, role=role)
        relay.adopting.append(lambda _, present: metrics.expect(present))
        _add_parts(relay, around, world, start)
        add_gate(relay.http, configuration.service, away)
        open_to_pages(relay.http, configuration.service)
        relay.http.add_middleware(Identification, new_id=world.new_id)
        yield relay


def _add_parts(relay: Relay, around: Surroundings, world: Outside, start: Start | None) -> None:
    """What works beside the fleet, and the ways in."""
    _add_spool(relay)
    _keep_house(relay, around)
    if relay.role is not Role.DELIVER:  # whose own webhook would refuse it
        _add_canary(relay, around, world)
    _add_alerts(relay, around)
    _open_ways_in(relay, around, world, start)


def _add_spool(relay: Relay) -> None:
    store = relay.store
    if isinstance(store, SpoolingStore):
        store.forwarding.arrived = relay.wake
        relay.background.append(store.forwarding.run)
        relay.stands_in = store.stands_in


def _keep_house(relay: Relay, around: Surroundings) -> None:
    retention = relay.configuration.service.retentions
    house = Housekeeping(relay.store.sweep, retention, around)
    relay.background.append(house.run)
    relay.adopting.append(lambda present, _: house.keep_for(present.service.retentions))


def _join(relay: Relay, around: Surroundings) -> Callable[[], None]:
    """Has this node be one of several, where there are; gives what is told of arrivals."""
    cluster, started_at = relay.store.cluster, around.clock()
    if cluster is None:
        return relay.wake

    def standing() -> NodeStanding:
        running = None if relay.reloader is None else relay.reloader.running.fingerprint
        return NodeStanding(
            relay.role, __version__, relay.address, started_at, running, relay.readings()
        )

    async def hear() -> None:
        cluster.hear(Topic.ARRIVED, relay.wake)
        cluster.hear(Topic.LANES, relay.look_at_lanes)

    relay.background.extend((hear, Heart(cluster, standing, around).run))
    return Arrivals(relay.wake, cluster).note


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
        arrived=_join(relay, around),
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

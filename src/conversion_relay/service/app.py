"""The composition root: names the concrete destinations and stores, owns the clock and the dice.

Builds the parts from a configuration, ties them together, and takes them down again in order:
first the door, then the workers, then the store.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from pydantic import SecretStr

from conversion_relay.core.delivery import RetryPolicy
from conversion_relay.core.lane import LanePolicy
from conversion_relay.core.plan import Target
from conversion_relay.service.application import (
    add_paths,
    bare_application,
    limits_of,
    open_to_pages,
    sources_of,
)
from conversion_relay.service.dispatch import Dispatch, Wire
from conversion_relay.service.housekeeping import Housekeeping
from conversion_relay.service.http.edge.entrance import add_gate, door_of
from conversion_relay.service.http.edge.turned_away import TurnedAway
from conversion_relay.service.http.intake import Intake
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.relay import Relay
from conversion_relay.service.sealing import Sealer, load_or_create_keys
from conversion_relay.service.sender import Sender, SenderLimits
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
)
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.sqlite import open_store, require_free
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.targets import build_targets
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
    """

    clock: Callable[[], datetime] = now
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    connect: Connect = connect
    new_id: Callable[[], str] = new_id
    monotonic: Callable[[], float] = time.monotonic


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
        away = TurnedAway(around.metrics, log, world.monotonic)
        relay = Relay(store, workers, bare_application(), door_of(configuration.service, away))
        house = Housekeeping(store.sweep, configuration.service.retentions, around)
        relay.background.append(house.run)
        _open_ways_in(relay, configuration, targets, around, world)
        add_gate(relay.http, configuration.service, away)
        open_to_pages(relay.http, configuration.service)
        yield relay


def _open_ways_in(
    relay: Relay,
    configuration: Configuration,
    targets: Sequence[Target],
    around: Surroundings,
    world: Outside,
) -> None:
    relay.sources = sources_of(configuration, targets)
    intake = Intake(
        sources=relay.sources,
        store=relay.store,
        limits=limits_of(configuration.service),
        clock=world.clock,
        arrived=relay.wake,
        metrics=around.metrics,
        log=around.log,
        monotonic=world.monotonic,
    )
    add_paths(relay, intake, configuration.service, world.new_id)


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

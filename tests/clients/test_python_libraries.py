"""Segment's and RudderStack's own Python libraries against the running service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from rudderstack.analytics.client import Client as RudderClient  # type: ignore[import-untyped]
from segment.analytics.client import Client as SegmentClient  # type: ignore[import-untyped]

from conversion_relay.errors import StoreBusy
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from faults.process import Service, end_all
from support.running import World, world
from support.serving import serving
from support.tracking import KEY as TOY_KEY
from support.tracking import Door

KEY = "library-key"


class Library(Protocol):
    """What both have in common."""

    def track(self, user: str, name: str, **more: object) -> object:
        """Queues an event."""
        ...

    def shutdown(self) -> None:
        """Waits until everything queued was sent or given up, and ends the thread."""
        ...


@dataclass(slots=True)
class Told:
    """What a library told of its failures, with the events each was about."""

    errors: list[tuple[Exception, int]] = field(default_factory=list)

    def __call__(self, error: Exception, events: list[object]) -> None:
        """Called from the library's thread."""
        self.errors.append((error, len(events)))


class Make(Protocol):
    """Makes a library that sends to the address."""

    def __call__(self, key: str, url: str, told: Told, **more: object) -> Library:
        """The library, with settings of its own."""
        ...


_LIBRARIES = {"segment": SegmentClient, "rudder": RudderClient}


@pytest.fixture(params=sorted(_LIBRARIES))
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a library; all that were made are shut down."""
    made: list[Library] = []

    def start(key: str, url: str, told: Told, **more: object) -> Library:
        client: Library = _LIBRARIES[request.param](
            key, host=url, on_error=told, upload_interval=0.1, timeout=20, **more
        )
        made.append(client)
        return client

    yield start
    for client in made:
        client.shutdown()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, SEGMENT_WRITE_KEY=KEY) as one:
        yield one


def _order(client: Library, number: int) -> str:
    """Queues an order; gives the messageId its conversion has to have."""
    properties = {"revenue": 10 + number, "currency": "EUR", "order_id": f"o-{number}"}
    client.track(
        f"buyer-{number}", "Order Completed", properties=properties, message_id=f"lib-{number}"
    )
    return f"lib-{number}"


@pytest.mark.parametrize("packed", [False, True])
async def test_every_event_is_one_conversion(here: World, make: Make, packed: bool) -> None:
    told = Told()
    async with serving(here.relay.http) as url:
        client = make(KEY, url, told, gzip=packed, upload_size=7)
        expected = {_order(client, number) for number in range(40)}
        await asyncio.to_thread(client.shutdown)
    conversions = await here.settled()
    assert told.errors == []
    assert sorted(str(one.event_id) for one in conversions) == sorted(expected)
    assert all(one.copies == 0 for one in conversions)
    assert here.log.events.count("tracking.kept") >= 40 / 7, "they came in batches"


async def test_a_wrong_key_is_a_clear_error_at_once(here: World, make: Make) -> None:
    told = Told()
    async with serving(here.relay.http) as url:
        client = make("wrong-key", url, told)
        _order(client, 1)
        await asyncio.to_thread(client.shutdown)
    ((error, events),) = told.errors
    assert events == 1
    assert getattr(error, "status", None) == 401
    assert getattr(error, "code", None) == "unauthorized"
    assert "SEGMENT_WRITE_KEY" in str(error)
    assert here.log.events.count("tracking.refused") == 1, "it is not tried again"
    assert "wrong-key" not in repr(here.log.lines)


@pytest.mark.slow
async def test_what_the_service_had_no_room_for_comes_again(make: Make) -> None:
    told, door = Told(), Door()
    door.store.error = StoreBusy("full")
    async with serving(door.application) as url:
        client = make(TOY_KEY, url, told)
        client.track("u", "Hello", properties={"name": "Ada"})
        ended = asyncio.create_task(asyncio.to_thread(_flush, client))
        async with asyncio.timeout(30):
            while "tracking.refused" not in door.log.events:  # noqa: ASYNC110 - another thread
                await asyncio.sleep(0.01)
        door.store.error = None
        await ended
    assert told.errors == []
    assert [one["event"] for one in door.originals()] == ["Hello"]


@pytest.mark.slow
async def test_a_restart_of_the_service_loses_nothing(tmp_path: Path, make: Make) -> None:
    told, sandbox = Told(), _sandbox()
    async with running_sandbox(sandbox) as api_url:
        service = Service(tmp_path, api_url, changes={"SEGMENT_WRITE_KEY": KEY})
        try:
            await service.start()
            client = make(KEY, service.url, told, gzip=True, upload_size=5)
            expected = {_order(client, number) for number in range(20)}
            await service.kill()
            expected |= {_order(client, number) for number in range(20, 30)}
            ended = asyncio.create_task(asyncio.to_thread(_flush, client))
            await service.start()
            await ended
            async with asyncio.timeout(30):
                while len(sandbox.ledger.conversions()) < len(expected):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await service.stop()
        finally:
            await end_all()
    assert told.errors == []
    conversions = sandbox.ledger.conversions()
    assert sorted(str(one.event_id) for one in conversions) == sorted(expected)
    assert all(one.altered_copies == 0 for one in conversions)


def _flush(client: Library) -> None:
    """Waits until the queue is empty; a shutdown would end the tries of some."""
    flush: Callable[[], None] = getattr(client, "flush")  # noqa: B009 - outside the protocol
    flush()


def _sandbox() -> Sandbox:
    return create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))

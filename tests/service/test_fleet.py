"""Workers that are exchanged while they run: who stays, who goes, and when connections close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from conversion_relay.core.plan import Target
from conversion_relay.service.fleet import Fleet, connection_of
from conversion_relay.service.settings import Configuration, DestinationSettings
from conversion_relay.service.worker import Worker
from support.toy import target as toy_target


@dataclass
class Stub:
    """Stands for a worker, its dispatch and its lane: works until it may end."""

    name: str
    pixel: str
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[str] = field(default_factory=list)

    @property
    def dispatch(self) -> Stub:
        """Itself."""
        return self

    @property
    def lane(self) -> Stub:
        """Itself."""
        return self

    async def run(self) -> None:
        """Until it is stopped, and what is on its way has ended."""
        await self.stopped.wait()
        await self.may_end.wait()

    async def renew(self, token: str) -> None:
        """Takes another token."""
        self.said.append(f"token {token}")

    def stop(self) -> None:
        """Claims nothing more."""
        self.stopped.set()

    def retire(self) -> None:
        """Another one is in its place."""
        self.said.append("retired")
        self.stop()

    def hide(self) -> None:
        """Its destination is gone."""
        self.said.append("hidden")

    def hurry(self) -> None:
        """Gives back what is on its way."""
        self.said.append("hurried")
        self.may_end.set()


@dataclass
class Yard:
    """Where workers are made; knows which connections are open."""

    made: list[Stub] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    breaks_at: str = ""

    @asynccontextmanager
    async def build(self, target: Target, settings: DestinationSettings) -> AsyncIterator[Worker]:
        """A worker with connections."""
        if target.name == self.breaks_at:
            raise ConnectionError
        stub = Stub(target.name, settings.pixel_code)
        self.made.append(stub)
        self.open.append(f"{target.name} {settings.pixel_code}")
        yield cast("Worker", stub)
        self.open.remove(f"{target.name} {settings.pixel_code}")


def _configured(credential: str = "t", **pixels: str) -> tuple[Configuration, list[Target]]:
    configuration = Configuration.model_validate(
        {
            "sources": {"web": {"authentication": "none"}},
            "destinations": {
                name: {"pixel_code": pixel, "access_token": credential}
                for name, pixel in pixels.items()
            },
        }
    )
    toy = toy_target()
    return configuration, [Target(name, toy.destination, ()) for name in pixels]


async def _swapped(fleet: Fleet, credential: str = "t", **pixels: str) -> None:
    configuration, targets = _configured(credential, **pixels)
    fleet.swap(await fleet.prepare(configuration, targets))
    await fleet.renew(configuration)


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_is_as_before_stays_and_others_end_what_they_began() -> None:
    yard = Yard()
    fleet = Fleet(yard.build)
    workers = fleet.workers
    await _swapped(fleet, eu="A", us="B")
    fleet.start()
    await _turn()
    await _swapped(fleet, "renewed", eu="A", us="C", mx="D")
    eu, us, new, mx = yard.made
    assert workers is fleet.workers
    assert [cast("object", one) for one in workers.values()] == [eu, new, mx]
    assert (eu.said, us.said) == (["token t", "token renewed"], ["token t", "retired"])
    await _turn()
    assert fleet.is_whole
    assert "us B" in yard.open, "it still has a request on its way"
    us.may_end.set()
    await _turn()
    assert sorted(yard.open) == ["eu A", "mx D", "us C"]
    for one in yard.made:
        one.may_end.set()
    await fleet.ended()
    await fleet.close()
    assert yard.open == []


async def test_a_destination_that_is_gone_is_shown_no_more() -> None:
    yard = Yard()
    fleet = Fleet(yard.build)
    await _swapped(fleet, eu="A", us="B")
    fleet.start()
    await _turn()
    await _swapped(fleet, eu="A")
    assert yard.made[1].said == ["token t", "retired", "hidden"]
    assert [*fleet.workers] == ["eu"]
    for one in yard.made:
        one.may_end.set()
    await fleet.ended()


async def test_the_end_does_not_wait_for_ever_for_who_was_replaced() -> None:
    yard = Yard()
    fleet = Fleet(yard.build, stop_seconds=0.01)
    await _swapped(fleet, eu="A")
    fleet.start()
    await _turn()
    await _swapped(fleet, eu="B")
    yard.made[1].may_end.set()
    await fleet.ended()
    assert yard.made[0].said[-1] == "hurried"
    assert not fleet.is_whole


async def test_what_cannot_be_prepared_changes_nothing() -> None:
    yard = Yard()
    fleet = Fleet(yard.build)
    await _swapped(fleet, eu="A")
    yard.breaks_at = "us"
    configuration, targets = _configured(eu="B", us="C")
    with pytest.raises(ConnectionError):
        await fleet.prepare(configuration, targets)
    assert (yard.open, yard.made[0].said, [*fleet.workers]) == (["eu A"], ["token t"], ["eu"])
    await fleet.close()


CHANGES = {
    "access_token": ("another", True),
    "presets": ("tiktok-conversions-current", True),
    "default_phone_region": ("DE", True),
    "canary_test_event_code": ("TEST1", True),
    "pixel_code": ("OTHER", False),
    "api_url": ("http://127.0.0.1:9", False),
    "proxy_url": ("http://127.0.0.1:9", False),
    "test_event_code": ("TEST1", False),
    "partner_name": ("Example", False),
    "max_requests_in_flight": (9, False),
    "retry_horizon": ("1d", False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_needs_another_worker(name: str) -> None:
    value, same = CHANGES[name]
    before: dict[str, object] = {"pixel_code": "A", "access_token": "t"}
    old = DestinationSettings.model_validate(before)
    new = DestinationSettings.model_validate({**before, name: value})
    assert (connection_of(old) == connection_of(new)) is same

"""What happens in the outage, in order, and whether everything arrived in the end.

Judges by the sandbox's ledger alone: what the service took has to be there exactly once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.demo.acceleration import Acceleration
from conversion_relay.demo.audience import Audience
from conversion_relay.demo.shop import Shop
from conversion_relay.errors import RelayError
from conversion_relay.sandbox import Sandbox, parse_fault
from conversion_relay.service.relay import Relay

HOUR: Final = timedelta(hours=1)
_LONGEST_RECOVERY: Final = timedelta(hours=6)
_LOOK_SECONDS: Final = 30.0
_LEAST_PROGRESS: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Script:
    """What happens, and how fast.

    Attributes:
        before: while TikTok answers.
        away: while it does not: at first it answers 502, then not at all.
        after: once everything has arrived.
        factor: how much faster than on the wall time passes, at most.
        pause_seconds: between two events of the shop, on average.
    """

    before: timedelta = HOUR
    away: timedelta = 14 * HOUR
    after: timedelta = HOUR / 2
    factor: float = 640.0
    pause_seconds: float = 50.0

    @property
    def length(self) -> timedelta:
        """Of all of it."""
        return self.before + self.away + self.after


@dataclass
class Outage:
    """An outage of TikTok, while a shop goes on selling."""

    script: Script
    time: Acceleration
    audience: Audience
    sandbox: Sandbox
    relay: Relay
    shop: Shop
    _closed: bool = False

    async def happen(self, passing: asyncio.Task[None]) -> None:
        """All of it; `passing` lets time pass.

        Raises:
            RelayError: not everything arrived exactly once, or time hardly passed any more.
        """
        story = asyncio.create_task(self._story())
        works = (self._sell(), self._look(), require_progress(self.time))
        beside = [asyncio.create_task(work) for work in works]
        try:
            while not story.done():
                running = [one for one in (story, passing, *beside) if not one.done()]
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        finally:
            for one in (story, *beside):
                one.cancel()
            await asyncio.wait([story, *beside])
        self._check()

    async def _story(self) -> None:
        script, faults = self.script, self.sandbox.faults
        self.audience.say("The shop is open, and TikTok answers.")
        await self._pass(script.before)
        self.audience.say("TikTok fails: it answers 502 to every request.", "red")
        faults.switch_on([parse_fault("server_error=502")])
        await self._pass(script.away * 0.6)
        self.audience.say("TikTok breaks off connections, without any answer.", "red")
        faults.switch_off()
        faults.switch_on([parse_fault("reset")])
        await self._pass(script.away * 0.4)
        faults.switch_off()
        back = self.time.now
        waiting = await self._waiting()
        self.audience.say(f"TikTok is back; {waiting:,} conversions wait.", "green")
        await self._arrival()
        took = self.time.now - back
        self.audience.say(f"All of them have arrived, {took.seconds} s later.", "green")
        await self._pass(script.after)
        self._closed = True
        await self._arrival()

    async def _pass(self, length: timedelta) -> None:
        await self.time.sleep(length.total_seconds())

    async def _sell(self) -> None:
        """One event after the other, all the time."""
        while not self._closed:
            now = self.time.now
            await self.time.sleep(self.shop.pause_seconds(now, self.script.pause_seconds))
            await self.shop.send(self.time.now)

    async def _look(self) -> None:
        """A line at every full hour."""
        while True:
            await self._pass(_until_full_hour(self.time.now))
            waiting = await self._waiting()
            accepted = len(self.sandbox.ledger.conversions())
            self.audience.hour(len(self.shop.promised), accepted, waiting)

    async def _waiting(self) -> int:
        return sum(one.count for one in await self.relay.store.history.waiting())

    async def _arrival(self) -> None:
        """Until nothing waits.

        Raises:
            RelayError: that takes too long.
        """
        latest = self.time.now + _LONGEST_RECOVERY
        while await self._waiting():
            if self.time.now > latest:
                raise RelayError("not everything arrived within six hours of TikTok's return")
            await self.time.sleep(1.0)

    def _check(self) -> None:
        counted = Counter(one.event_id for one in self.sandbox.ledger.conversions())
        promised = Counter[str | None](self.shop.promised)
        lost, invented = promised - counted, counted - promised
        if lost or invented:
            raise RelayError(
                f"{lost.total()} conversions are missing, {invented.total()} too many"
            )
        self.audience.say(
            f"TikTok counts {counted.total():,} conversions: each that the service took, exactly "
            "once.",
            "bold green",
        )


async def require_progress(
    time: Acceleration, look_seconds: float = _LOOK_SECONDS, least: timedelta = _LEAST_PROGRESS
) -> None:
    """Looks on the wall's clock, again and again; never comes back.

    Raises:
        RelayError: hardly any time passed between two looks: a part of the service is stuck.
    """
    while True:
        before = time.now
        await asyncio.sleep(look_seconds)
        if time.now - before < least:
            raise RelayError(
                f"the demonstration does not get on: less than {least.seconds} s of its time "
                f"passed in {look_seconds:g} s. Either this machine is busy with something else, "
                "or a part of the service is stuck; please try again, then report it"
            )


def _until_full_hour(now: datetime) -> timedelta:
    return HOUR - timedelta(minutes=now.minute, seconds=now.second, microseconds=now.microsecond)

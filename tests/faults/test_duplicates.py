"""Row 4. Copies of every event, at once and up to a week late, while answers go astray.

In virtual time. An answer that goes astray leaves open whether the events were counted: half of
the time they were. What is still open after 48 hours is parked and listed, and never sent alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.service.store.port import Selection, Store
from faults.conftest import Report, size_of
from faults.judge import judge
from faults.process import Shop
from support.simulation import Mood, Simulation
from support.time import START, VirtualTime

_SEED: Final = 20261122
_ASTRAY: Final[Sequence[Mood]] = ("timeout", "lost", "error", "lost")
_RATES: Final = (0.05, 0.2, 0.5)
_DAYS: Final = 7
_PAGE: Final = 500
_HOUR: Final = timedelta(hours=1)
_RESUMED_WITHIN: Final = timedelta(seconds=30)
_IN_FULL: Final = timedelta(minutes=1)


@dataclass
class Weather:
    """How TikTok is: a share of the answers goes astray.

    Attributes:
        share: of the requests, from 0 to 1.
        met: how many requests met that.
    """

    draw: random.Random
    share: float = 0.0
    met: int = 0

    def __call__(self, at: datetime) -> Mood:
        """Of one request."""
        del at
        if self.draw.random() >= self.share:
            return "up"
        self.met += 1
        return self.draw.choice(_ASTRAY)


@dataclass(frozen=True, order=True)
class Post:
    """One event that is posted at some moment, for the first time or again."""

    hour: int
    order: float
    payload: bytes = field(compare=False)


def _posts(payloads: Sequence[bytes], draw: random.Random) -> list[Post]:
    """Each two to five times: at once with the first, or any number of hours later."""
    posts: list[Post] = []
    for payload in payloads:
        first = draw.randrange(_DAYS * 24)
        later = [draw.choice((0, draw.randint(0, _DAYS * 24))) for _ in range(draw.randint(1, 4))]
        posts += [Post(first + hours, draw.random(), payload) for hours in (0, *later)]
    return sorted(posts)


async def _live_to(simulation: Simulation, moment: datetime, step: timedelta = _HOUR) -> None:
    """Lets time pass, of each step only the first minute in full: the rest is one leap."""
    while simulation.time.now < moment:
        following = min(moment, simulation.time.now + step)
        await simulation.run_to(min(following, simulation.time.now + _IN_FULL))
        simulation.time.turn_to(following)


async def _keep(simulation: Simulation, payloads: Sequence[bytes]) -> None:
    """Several requests at the same time."""
    parts = [payloads[start::4] for start in range(4)]
    await asyncio.gather(*(simulation.keep(part) for part in parts if part))


async def _listed(store: Store, state: State) -> set[str]:
    """The messageIds of all that is in this state, as the operator's list has them."""
    names: set[str] = set()
    after: int | None = 0
    while after is not None:
        page = await store.select(Selection(states=frozenset({state})), after, _PAGE)
        names |= {event.message_id for event in page.events}
        after = page.after
    return names


@pytest.mark.slow
async def test_copies_and_lost_answers_change_no_count(tmp_path: Path, report: Report) -> None:
    unique = size_of(quick=200, short=6_000, full=60_000)
    draw, weather = random.Random(_SEED), Weather(random.Random(_SEED))  # noqa: S311 - seeded
    shop = Shop(_SEED)
    posts = _posts([orjson.dumps(event) for event in shop.events(unique)], draw)
    simulation = Simulation(tmp_path, weather, _SEED, VirtualTime())
    await simulation.start()
    for hour, together in groupby(posts, key=lambda post: post.hour):
        await _live_to(simulation, START + timedelta(hours=hour))
        weather.share = _RATES[hour // 24 % len(_RATES)]
        await _keep(simulation, [post.payload for post in together])
    weather.share = 0.0
    await _live_to(simulation, simulation.time.now + timedelta(days=1))
    verdict = judge(simulation.sandbox.ledger.conversions(), simulation.acknowledged, shop.posted)
    uncertain = await _listed(simulation.store, State.UNCERTAIN)
    await simulation.stop()
    report(
        4,
        f"{len(posts):,} posts of {unique:,} events over {2 * _DAYS} days, "
        f"{weather.met:,} of {len(simulation.tiktok.sent):,} answers astray (5, 20, 50 %): "
        f"{verdict}; {len(uncertain)} parked",
    )
    assert verdict.is_flawless
    assert verdict.conversions == unique
    assert weather.met > len(simulation.tiktok.sent) / 10
    assert not uncertain, "every answer came within 48 hours"


async def _resumes(simulation: Simulation) -> bool:
    """Whether something new is counted soon."""
    counted = len(simulation.sandbox.ledger.conversions())
    await simulation.run_to(simulation.time.now + _RESUMED_WITHIN)
    return len(simulation.sandbox.ledger.conversions()) > counted


@pytest.mark.slow
async def test_what_is_open_after_48_hours_is_parked_and_never_sent_alone(
    tmp_path: Path, report: Report
) -> None:
    count = size_of(quick=50, short=400, full=3_000)
    weather, shop = Weather(random.Random(_SEED), share=1.0), Shop(_SEED)  # noqa: S311 - seeded
    simulation = Simulation(tmp_path, weather, _SEED, VirtualTime())
    await simulation.start()
    await _keep(simulation, [orjson.dumps(event) for event in shop.events(count)])
    await _live_to(simulation, START + timedelta(hours=1))
    waiting = shop.events(count)
    await _keep(simulation, [orjson.dumps(event) for event in waiting])
    await _live_to(simulation, START + timedelta(hours=49))
    weather.share = 0.0
    resumed = await _resumes(simulation)
    await _live_to(simulation, START + timedelta(hours=72))
    parked = await _listed(simulation.store, State.UNCERTAIN)
    sent = len(simulation.tiktok.sent)
    await _live_to(simulation, START + timedelta(days=14), timedelta(hours=6))
    verdict = judge(simulation.sandbox.ledger.conversions(), simulation.acknowledged, shop.posted)
    still = await _listed(simulation.store, State.UNCERTAIN)
    await simulation.stop()
    report(
        4,
        f"no answer for 49 h: {len(parked):,} of {2 * count:,} parked and listed, "
        f"{len(verdict.missing - parked)} lost, {len(verdict.twice)} twice; "
        f"{'' if resumed else 'not '}resumed within 30 s; "
        f"{len(simulation.tiktok.sent) - sent} sent in the 11 days after",
    )
    assert resumed, "what must not go again keeps nothing else waiting"
    assert parked
    assert still == parked
    assert simulation.log.events.count("delivery.uncertain") == len(parked), "each says why"
    assert len(simulation.tiktok.sent) == sent
    assert verdict.missing <= parked
    assert not verdict.twice
    assert not verdict.invented
    assert not verdict.altered
    assert {str(event["messageId"]) for event in waiting} & parked < parked, "probes alone burn"
    assert verdict.conversions >= count, "what was not sent before went afterwards"

"""Files that change while the service runs: what is seen, when it is tried, and how often."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from conversion_relay.core.destination import Verdict
from conversion_relay.service.reload.steps import Ask
from conversion_relay.service.reload.watching import LOOK_SECONDS, reload_when
from support.reloads import Desk, Outer, desk

PIXEL = ('"PIXEL-US"', '"PIXEL-CA"')


def _token(found: Desk) -> str:
    destinations = found.reloader.running.configuration.destinations
    return destinations["us"].access_token.get_secret_value()


async def test_a_change_has_to_be_seen_twice_alike(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml('"PIXEL-US"', '"PIXEL-C')
    await found.look(1)
    found.toml('"PIXEL-US"', '"PIXEL-CA-2"')
    await found.look(1)
    found.toml(*PIXEL)
    await found.look(1)
    assert (found.pixel, found.log.events) == ("PIXEL-US", [])
    await found.look(1)
    assert (found.pixel, found.log.events) == ("PIXEL-CA", ["configuration.adopted"])


@pytest.mark.parametrize("outer", [Outer(objections=("lost",)), Outer(verdict=Verdict.REFUSED)])
async def test_what_was_refused_is_tried_once(tmp_path: Path, outer: Outer) -> None:
    found = await desk(tmp_path, outer)
    found.toml(*PIXEL)
    await found.look(9)
    assert found.log.events == ["configuration.refused"]
    outer.objections, outer.verdict = (), Verdict.SOUND
    found.toml('"PIXEL-US"', '"PIXEL-MX"')
    await found.look()
    assert (found.pixel, found.reloader.standing) == ("PIXEL-MX", None)


async def test_what_cannot_be_read_is_told_once_and_forgotten_once_it_is_mended(
    tmp_path: Path,
) -> None:
    found = await desk(tmp_path)
    found.toml("[sources.web]", "[sources.web")
    await found.look(5)
    assert found.log.events == ["configuration.refused"]
    assert found.reloader.standing is not None
    found.toml("[sources.web]", "[sources.web]")
    await found.look(1)
    assert found.reloader.standing is None


async def test_silence_is_tried_again_after_a_while(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(verdict=Verdict.SILENT))
    found.toml(*PIXEL)
    await found.look(2 + 6)
    assert len(found.outer.asked) == 1
    await found.look(1)
    assert len(found.outer.asked) == 2
    found.outer.verdict = Verdict.SOUND
    await found.look(7)
    assert found.pixel == "PIXEL-CA"


async def test_secrets_are_renewed_beside_a_change_that_was_refused(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(objections=("lost",)))
    found.toml(*PIXEL)
    await found.look()
    found.token("renewed")
    await found.look(6)
    assert (_token(found), found.pixel) == ("renewed", "PIXEL-US")


async def test_with_the_watch_off_only_secrets_are_taken(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml("[sources.web]", "watch_changes = false\n[sources.web]")
    await found.look()
    found.toml(*PIXEL)
    found.token("renewed")
    await found.look(4)
    assert (_token(found), found.pixel) == ("renewed", "PIXEL-US")


async def test_a_token_for_a_held_lane_is_taken_at_once_and_in_silence(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(verdict=Verdict.SILENT, held={"eu", "us"}))
    found.token("renewed")
    await found.look(1)
    assert _token(found) == "renewed"


async def test_a_refused_token_is_not_taken_though_the_lane_is_held(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(verdict=Verdict.REFUSED, held={"eu", "us"}))
    found.token("wrong")
    await found.look(5)
    assert (_token(found), len(found.outer.asked)) == ("access-token", 1)


async def test_secrets_are_renewed_while_a_version_is_rolled_back(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    await found.look()
    await found.reloader.rollback(1, Ask("rollback"))
    found.token("renewed")
    await found.look(3)
    assert (_token(found), found.pixel) == ("renewed", "PIXEL-US")
    assert found.reloader.rolled_back is not None


async def test_what_could_not_be_kept_is_kept_once_there_is_room(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    found.outer.is_full = True
    await found.look(4)
    assert (found.pixel, found.reloader.version) == ("PIXEL-CA", None)
    assert found.log.events.count("configuration.not_kept") == 1, "it is told once"
    found.outer.is_full = False
    await found.look(2)
    assert (found.reloader.version, len(found.outer.kept)) == (2, 2)


async def test_it_looks_every_few_seconds_whatever_goes_wrong(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    found.outer.kept.clear()
    task = asyncio.create_task(found.watch.run())
    async with asyncio.timeout(20):
        while found.pixel != "PIXEL-CA":
            found.time.turn(seconds=LOOK_SECONDS)
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_asked_often_it_reloads_once_more(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    asked = asyncio.Event()
    task = asyncio.create_task(reload_when(asked, found.reloader, found.log))
    found.toml(*PIXEL)
    for _ in range(50):
        asked.set()
    async with asyncio.timeout(20):
        while found.pixel != "PIXEL-CA":  # noqa: ASYNC110 - it reads files in a thread
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert found.log.events == ["configuration.adopted"]

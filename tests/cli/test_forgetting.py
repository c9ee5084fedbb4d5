"""The command `forget`: what it says, whom it never names, and how it ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.test_operators import PREFIXES, listening, said
from conversion_relay.cli import application
from support.events import order
from support.running import World, environment, world

USER = "a-user-of-theirs"


def run(folder: Path, *arguments: str, given: str | None = None, **changes: str) -> Result:
    """The command in this process, configured as the service in that folder."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    variables = {**unset, **environment(folder, "http://127.0.0.1:9", **changes)}
    return CliRunner().invoke(application, ["forget", *arguments], input=given, env=variables)


async def filled(here: World) -> None:
    for number in range(2):
        await here.post({**order(f"m-{number}"), "userId": USER})
    await here.post({**order("other"), "userId": "somebody"})
    await here.settled()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a database with events of two users that no service uses."""
    async with world(tmp_path) as here:
        await filled(here)
    return tmp_path


async def test_a_user_is_counted_then_erased_then_unknown(folder: Path) -> None:
    counted = said(await asyncio.to_thread(run, folder, USER, "--dry-run"))
    assert counted.startswith("would be erased count")
    assert "events 2 originals 2 deliveries, delivered 2 match keys 0" in counted
    erased = said(await asyncio.to_thread(run, folder, USER))
    assert erased.startswith("erased count")
    assert "events 2 originals 2" in erased
    assert said(await asyncio.to_thread(run, folder, USER)) == "Nothing is kept of this user."
    assert "events 1" in said(await asyncio.to_thread(run, folder, "somebody", "--dry-run"))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nanother line\n"])
async def test_the_id_can_come_by_standard_input(folder: Path, end: str) -> None:
    result = await asyncio.to_thread(run, folder, "-", given=USER + end)
    assert "events 2" in said(result)
    assert USER not in result.output


async def test_one_source_alone_can_be_meant(folder: Path) -> None:
    other = await asyncio.to_thread(run, folder, USER, "--source", "other")
    assert other.stdout.strip() == "Nothing is kept of this user."
    assert "no source of this name is configured; known: default" in other.stderr
    assert "events 2" in said(await asyncio.to_thread(run, folder, USER, "--source", "default"))


async def test_a_running_service_does_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await filled(here)
        result = await asyncio.to_thread(run, tmp_path, USER, RELAY_PORT=str(port))
        assert "events 2 originals 2" in said(result)
        assert USER not in result.output
        assert "user.forgotten" in here.log.events
        assert (await here.status())["events"]["planned"] == 1


@pytest.mark.parametrize(
    ("arguments", "given", "changes", "status"),
    [
        ([""], None, {}, 2),
        (["-"], "", {}, 2),
        (["-"], "\n", {}, 2),
        ([USER, "--source", ""], None, {}, 2),
        ([], None, {}, 2),
        ([USER], None, {"RELAY_DATABASE_URL": "sqlite:////nowhere/at/all.db"}, 2),
    ],
)
async def test_what_cannot_be_done_is_said(
    folder: Path, arguments: list[str], given: str | None, changes: dict[str, str], status: int
) -> None:
    result = await asyncio.to_thread(run, folder, *arguments, given=given, **changes)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr
    assert USER not in result.output

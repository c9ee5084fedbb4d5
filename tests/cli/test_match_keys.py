"""The command `match-keys`: a table by destination, or JSON, whoever serves the report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from cli.test_operators import listening, run, said
from support.events import order
from support.running import world


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a database with four conversions that no service uses."""
    async with world(tmp_path) as here:
        await here.post([order(f"o-{number}") for number in range(3)])
        bare = order("o-3", context={})
        del bare["userId"], bare["anonymousId"]
        await here.post(bare)
        await here.settled()
    return tmp_path


async def command(folder: Path, *arguments: str, **changes: str) -> str:
    return said(await asyncio.to_thread(run, folder, "match-keys", *arguments, **changes))


async def test_a_table_of_shares(folder: Path) -> None:
    told = await command(folder)
    assert "tiktok: 4 conversions" in told
    assert "email 3 75.0% 3 75.0% +0" in told
    assert "ttp 0 0.0% 0 0.0% +0" in told
    assert "ip and user agent 3 75.0% 3 75.0% +0" in told
    assert "none 1 25.0% 1 25.0% +0" in told


async def test_json_for_programs(folder: Path) -> None:
    (shown,) = [orjson.loads(line) for line in (await command(folder, "--json")).splitlines()]
    assert (shown["destination"], shown["conversions"]) == ("tiktok", 4)
    assert {one["key"]: one["after"] for one in shown["keys"]}["phone"] == 3
    assert set(shown) == {"since", "until", "destination", "conversions", "keys", "none"}


async def test_days_without_conversions(folder: Path) -> None:
    told = await command(folder, "--since", "2020-01-01", "--until", "2020-01-31")
    assert "2020-01-01 to 2020-01-31 (UTC): tiktok: 0 conversions" in told


async def test_the_running_service_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await here.post(order("o-1"))
        assert "tiktok: 1 conversions" in await command(
            tmp_path, "--since", "2d", RELAY_PORT=str(port)
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "yesterday"],
        ["--until", "2026-13-01"],
        ["--since", "2026-02-01", "--until", "2026-01-31"],
    ],
)
def test_days_that_are_none(tmp_path: Path, arguments: Sequence[str]) -> None:
    assert run(tmp_path, "match-keys", *arguments).exit_code == 2

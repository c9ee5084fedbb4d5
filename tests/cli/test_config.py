"""The commands about the configuration of a running service: what they say, and how they end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from support.changing import ENVIRONMENT, Changing, changing
from support.serving import serving

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Changing, str]]:
    """A service that answers at a port, and that port."""
    async with changing(folder) as world, serving(world.relay.http) as url:
        yield world, url.rpartition(":")[2]


async def run(world: Changing, port: str, *arguments: str) -> Result:
    """The command in this process, with the files of the service."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    file = str(world.folder / "relay.toml")
    database = f"sqlite:///{world.folder / 'relay.db'}"
    variables = {
        **ENVIRONMENT,
        "RELAY_PORT": port,
        "RELAY_CONFIG": file,
        "RELAY_ADMIN_TOKEN": ENVIRONMENT["ADMIN"],
        "RELAY_DATABASE_URL": database,
    }
    runner = CliRunner()
    return await asyncio.to_thread(
        runner.invoke, application, ["config", *arguments], env={**unset, **variables}
    )


async def test_a_change_is_shown_and_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as (world, port):
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        dry = await run(world, port, "reload", "--dry-run")
        assert (dry.exit_code, dry.stderr) == (0, "")
        assert '+ destinations.us.pixel_code = "PIXEL-CA"' in dry.stdout
        assert "TikTok: destination us:" in dry.stdout
        assert dry.stdout.endswith("The change would take effect.\n")
        done = await run(world, port, "reload")
        assert done.stdout.endswith("The change is in effect.\n")
        again = await run(world, port, "reload")
        assert (again.exit_code, again.stdout) == (0, "Nothing is different from what runs.\n")


async def test_versions_differences_and_a_rollback(tmp_path: Path) -> None:
    async with running(tmp_path) as (world, port):
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        await run(world, port, "reload")
        listed = await run(world, port, "versions")
        assert [line.split()[0] for line in listed.stdout.splitlines()] == ["2", "1"]
        assert listed.stdout.splitlines()[0].endswith("by api (runs)")
        shown = (await run(world, port, "diff", "2")).stdout.splitlines()
        assert shown[0] == "what version 2 changed:"
        assert shown[2] == '+ destinations.us.pixel_code = "PIXEL-CA"'
        rolled = await run(world, port, "rollback", "1")
        assert (rolled.exit_code, rolled.stderr) == (0, "")
        now = await run(world, port, "show")
        assert "version 3," in now.stdout
        assert "rolled back" in now.stdout


BROKEN = {
    "no TOML": ("[sources.web]", "[sources.web"),
    "an unknown setting": ("pixel_code =", "pixel_cod ="),
    "a secret that is gone": ("file:token", "file:gone"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_file_is_explained_and_can_be_rolled_back_from(
    tmp_path: Path, name: str
) -> None:
    async with running(tmp_path) as (world, port):
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        await run(world, port, "reload")
        world.toml(*BROKEN[name])
        refused = await run(world, port, "reload")
        assert refused.exit_code == 1
        assert "load: " in refused.stderr
        assert refused.stderr.endswith("what ran before goes on.\n")
        shown = await run(world, port, "show")
        assert "refused since" in shown.stdout
        assert (await run(world, port, "rollback", "1")).exit_code == 0
        assert world.reloader.running.configuration.destinations["us"].pixel_code == "PIXEL-US"


async def test_without_a_service_nothing_can_be_changed(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        pass
    refused = await run(world, "1", "reload")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("conversion-relay: No service runs here, ")
    listed = await run(world, "1", "versions")
    assert (listed.exit_code, listed.stdout.split()[0]) == (0, "1")


async def test_a_version_that_never_was(tmp_path: Path) -> None:
    async with running(tmp_path) as (world, port):
        for command in ("rollback", "diff"):
            missing = await run(world, port, command, "99")
            assert (missing.exit_code, missing.stdout) == (1, "")
            assert "No version 99 is kept" in missing.stderr

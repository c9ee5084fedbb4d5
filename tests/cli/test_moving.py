"""The command `move`: what it refuses, and that a move can be given up on purpose."""

from __future__ import annotations

import asyncio
import base64
import os
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.test_operators import PREFIXES
from conversion_relay.cli import application
from support.events import track
from support.postgres import new_database
from support.running import environment, world

KEY = base64.b64encode(bytes(32)).decode()
NOWHERE = "postgresql://relay@127.0.0.1:9/relay"


def run(folder: Path, *arguments: str, **changes: str) -> Result:
    """The command in this process, configured as the service in that folder."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    own = {"RELAY_ENCRYPTION_KEY": KEY, "RELAY_WEAK_DURABILITY": "true"} | changes
    variables = {**unset, **environment(folder, "http://127.0.0.1:9", **own)}
    return CliRunner().invoke(application, ["move", *arguments], env=variables)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--from", "sqlite:///no.db", "--undo"], 2, "there is no embedded database at"),
        (["--from", "sqlite:///no.db"], 2, "give either --to, or --undo"),
        (["--from", "sqlite:///no.db", "--undo", "--to", NOWHERE], 2, "give either --to"),
        (["--from", "sqlite:///no.db", "--to", NOWHERE], 2, "there is no embedded database at"),
        (["--to", NOWHERE], 2, "Missing option"),
    ],
)
def test_what_cannot_be_done_says_why(
    tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code == status
    assert words in result.stderr


def test_the_new_database_needs_a_key_that_is_given(tmp_path: Path) -> None:
    result = run(tmp_path, "--from", "sqlite:///no.db", "--to", NOWHERE, RELAY_ENCRYPTION_KEY="")
    assert result.exit_code == 2
    assert "RELAY_ENCRYPTION_KEY" in result.stderr


async def test_a_password_in_the_address_is_told_to_nobody(tmp_path: Path) -> None:
    secret = NOWHERE.replace("relay@", "relay:hush-hush@")
    old = f"sqlite:///{tmp_path / 'relay.db'}"
    async with world(tmp_path, RELAY_ENCRYPTION_KEY=KEY):
        pass
    result = await asyncio.to_thread(run, tmp_path, "--from", old, "--to", secret)
    assert (result.exit_code, "the database cannot be used" in result.stderr) == (1, True)
    assert "hush-hush" not in result.output


async def test_a_wrong_key_leaves_nothing_in_the_new_database(tmp_path: Path) -> None:
    """Otherwise the right one would be refused there: two keys at a time are."""
    url = await asyncio.to_thread(new_database)
    old = f"sqlite:///{tmp_path / 'relay.db'}"
    async with world(tmp_path, RELAY_ENCRYPTION_KEY=KEY) as here:
        await here.post(track("Order Completed", "m-1"))
        await here.settled()
    wrong = base64.b64encode(b"w" * 32).decode()
    to = ("--from", old, "--to", url)
    refused = await asyncio.to_thread(run, tmp_path, *to, RELAY_ENCRYPTION_KEY=wrong)
    assert (refused.exit_code, "sealed with another key" in refused.stderr) == (2, True)
    moved = await asyncio.to_thread(run, tmp_path, *to)
    assert moved.exit_code == 0, moved.stderr


async def test_the_address_of_the_command_goes_before_the_variable_of_the_service(
    tmp_path: Path,
) -> None:
    file = tmp_path / "url"
    file.write_text("sqlite:///of-the-service.db")
    variables = {"RELAY_DATABASE_URL": "", "RELAY_DATABASE_URL_FILE": str(file)}
    to = ("--from", "sqlite:///no.db", "--to", NOWHERE)
    result = await asyncio.to_thread(partial(run, tmp_path, *to, **variables))
    assert "there is no embedded database at" in result.stderr


async def test_a_move_can_be_given_up_on_purpose(tmp_path: Path) -> None:
    url = await asyncio.to_thread(new_database)
    old = f"sqlite:///{tmp_path / 'relay.db'}"
    async with world(tmp_path):
        busy = await asyncio.to_thread(run, tmp_path, "--from", old, "--to", url)
    assert busy.exit_code == 2
    assert "already uses the database" in busy.stderr
    untouched = await asyncio.to_thread(run, tmp_path, "--from", old, "--undo")
    assert "was not moved" in untouched.stdout
    other = await asyncio.to_thread(run, tmp_path, "--from", old, "--to", "sqlite:///other.db")
    assert (other.exit_code, "sqlite:///other.db is none" in other.stderr) == (2, True)
    moved = await asyncio.to_thread(run, tmp_path, "--from", old, "--to", url)
    assert "start the service" in moved.stdout
    again = await asyncio.to_thread(run, tmp_path, "--from", old, "--to", url)
    assert (again.exit_code, "an earlier run had moved all of it" in again.stdout) == (0, True)
    undone = await asyncio.to_thread(run, tmp_path, "--from", old, "--undo")
    assert f"may be served again; throw away what is in {url}" in undone.stdout
    async with world(tmp_path) as here:
        assert (await here.client.get("/readyz")).is_success

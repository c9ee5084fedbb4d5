"""The commands of operators: what they say, whoever serves the admin paths, and how they end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import uvicorn
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from conversion_relay.core.values import Json
from conversion_relay.sandbox import parse_fault
from support.events import order, track
from support.ports import free_port
from support.running import ADMIN, World, environment, world

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")
BROKEN = [order("dead-1"), order("dead-2"), track("Products Searched", "dead-3")]


def run(folder: Path, *arguments: str, **changes: str) -> Result:
    """The command in this process, configured as the service in that folder."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    variables = environment(folder, "http://127.0.0.1:9", **changes)
    return CliRunner().invoke(application, list(arguments), env={**unset, **variables})


def said(result: Result) -> str:
    """What it printed, its white space in short; it ended well and complained of nothing."""
    assert (result.exit_code, result.stderr) == (0, "")
    return " ".join(result.stdout.split())


@asynccontextmanager
async def spoilt(folder: Path) -> AsyncIterator[World]:
    """A service with three dead letters and one event that no trigger matched."""
    async with world(folder) as here:
        names = [str(event["messageId"]) for event in BROKEN]
        here.sandbox.faults.switch_on([parse_fault(f"reject_event_id={name}") for name in names])
        posted: list[Json] = [*BROKEN, track("Other", "unmatched")]
        assert (await here.post(posted)).status_code == 200
        await here.settled()
        here.sandbox.faults.switch_off()
        yield here


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a database with dead letters that no service uses."""
    async with spoilt(tmp_path):
        return tmp_path


@asynccontextmanager
async def listening(here: World) -> AsyncIterator[int]:
    """The port on which this service answers."""
    port = free_port()
    config = uvicorn.Config(here.relay.http, port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - without its signal handlers
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


async def test_without_a_service_the_database_itself_is_asked(folder: Path) -> None:
    dry = said(await asyncio.to_thread(run, folder, "replay"))
    assert "Order Completed 2 Products Searched 1" in dry
    assert "nothing was changed. --send sends these 3." in dry
    sent = said(await asyncio.to_thread(run, folder, "replay", "--event", "Search", "--send"))
    assert "1 to be sent again" in sent
    left = said(await asyncio.to_thread(run, folder, "replay", "--no-dry-run"))
    assert "2 to be sent again" in left
    assert "Nothing is kept" in said(await asyncio.to_thread(run, folder, "replay", "--send"))


async def test_beside_a_service_that_service_is_asked(tmp_path: Path) -> None:
    async with spoilt(tmp_path) as here, listening(here) as port:
        at = {"RELAY_PORT": str(port), "RELAY_HOST": "0.0.0.0"}  # noqa: S104 - where it might listen
        result = await asyncio.to_thread(run, tmp_path, "replay", "--send", **at)
        assert "3 to be sent again" in said(result)
        conversions = await here.settled()
    assert {one.event_id for one in conversions} == {"dead-1", "dead-2", "dead-3"}
    assert "operator.replayed" in here.log.events


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"RELAY_ADMIN_TOKEN": ""}, 2, "give both the same RELAY_ADMIN_TOKEN"),
        ({"RELAY_ADMIN_TOKEN": "wrong"}, 2, "the running service refuses the admin token"),
        ({"RELAY_PORT": "9"}, 1, "no service answers at http://127.0.0.1:9 (ConnectError)"),
    ],
)
async def test_a_service_that_cannot_be_asked_is_said(
    tmp_path: Path, changes: dict[str, str], status: int, words: str
) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await here.post(order("m-1"))
        at = {"RELAY_PORT": str(port)} | changes
        result = await asyncio.to_thread(run, tmp_path, "dead-letters", "list", **at)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.startswith("conversion-relay: ")
    assert words in result.stderr
    assert ADMIN not in result.stderr


def lost_key(folder: Path) -> None:
    (key,) = folder.glob("*.key")
    key.rename(folder / "elsewhere")


async def test_beside_a_service_the_database_needs_no_key(tmp_path: Path) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await here.post(order("m-1"))
        lost_key(tmp_path)
        at = {"RELAY_PORT": str(port)}
        result = await asyncio.to_thread(run, tmp_path, "replay", "--state", "pending", **at)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "--state", "nope"], "'uncertain'"),
        (["replay", "--since", "yesterday"], "36h"),
        (["replay", "--as-sent", "--state", "unmatched"], "from the original only"),
        (["dead-letters", "discard", "--state", "delivered"], "can be discarded"),
        (["dead-letters", "list", "--limit", "0"], "--limit"),
        (["replay", "--destination", ""], "must not be empty"),
        (["replay", "--event", "", "--send"], "must not be empty"),
        (["dead-letters", "discard", "--mapping", "", "--discard"], "must not be empty"),
        (["dead-letters", "discard", "--message-id", ""], "must not be empty"),
        (["dead-letters", "list", "--message-id", "m-1", "--message-id", ""], "not be empty"),
        (["dead-letters", "show", ""], "must not be empty"),
        (["replay", "--event", "caf\udce9"], "UTF-8"),
        (["dead-letters", "list", "--message-id", "\udcff"], "UTF-8"),
        (["dead-letters", "show", "\udcff"], "UTF-8"),
        (["replay", "--since", "1h", "--until", "2h"], "later than --since"),
    ],
)
async def test_wrong_options_are_said(folder: Path, arguments: list[str], words: str) -> None:
    result = await asyncio.to_thread(run, folder, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = run(tmp_path, "replay")
    assert result.exit_code == 2
    assert "there is no database at" in result.stderr
    assert list(tmp_path.iterdir()) == []


async def test_the_list_holds_what_helps_and_nothing_personal(folder: Path) -> None:
    result = await asyncio.to_thread(run, folder, "dead-letters", "list")
    shown = said(result)
    for word in ("dead-1", "dead-3", "PlaceAnOrder", "Search", "code 40002"):
        assert word in shown
    assert "unmatched" not in shown
    assert "example.com" not in shown
    assert shown.index("dead-1") < shown.index("dead-3"), "the newest last"


async def test_the_list_as_json_and_its_limit(folder: Path) -> None:
    result = await asyncio.to_thread(run, folder, "dead-letters", "list", "--json", "--limit", "1")
    assert result.exit_code == 0
    assert result.stderr == "and 2 older events; --limit shows more\n"
    row = orjson.loads(result.stdout)
    assert (row["messageId"], row["state"], row["attempts"]) == ("dead-3", "dead", 1)


@pytest.mark.parametrize("key", ["1", "dead-1"])
async def test_one_event_by_its_number_or_messageid(folder: Path, key: str) -> None:
    hidden = said(await asyncio.to_thread(run, folder, "dead-letters", "show", key))
    revealed = said(await asyncio.to_thread(run, folder, "dead-letters", "show", key, "--reveal"))
    assert "event 1: Order Completed messageId: dead-1" in hidden
    assert "example.com" not in hidden
    assert "Lena.Brandt@example.com" in revealed
    assert '"event_id":"dead-1"' in revealed


@pytest.mark.parametrize("key", ["77", "0", "9" * 19, str(2**63), "9" * 5_000, "\u0663", "none"])
async def test_an_event_that_is_not_there(folder: Path, key: str) -> None:
    result = await asyncio.to_thread(run, folder, "dead-letters", "show", key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no kept event" in result.stderr


async def test_filters_that_are_too_long_for_a_request_are_said(folder: Path) -> None:
    many = (part for number in range(900) for part in ("--message-id", f"{number:0>90}"))
    result = await asyncio.to_thread(run, folder, "dead-letters", "list", *many)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "too long for one request" in result.stderr


async def test_nothing_that_an_event_holds_reaches_the_terminal_as_a_command(
    tmp_path: Path,
) -> None:
    hostile = "dead-\u009b31m\u202e\U000e0041"
    async with world(tmp_path) as here:
        await here.post(order(hostile, properties={"currency": "\u009b"}))
        await here.settled()
    for options in (
        ("list", "--json", "--state", "delivered"),
        ("export", "--state", "delivered"),
        ("export", "--reveal", "--state", "delivered"),
    ):
        result = await asyncio.to_thread(run, tmp_path, "dead-letters", *options)
        (line,) = result.stdout.splitlines()
        assert line.isprintable()
        assert orjson.loads(line)["messageId"] == hostile
    shown = await asyncio.to_thread(run, tmp_path, "dead-letters", "show", "1", "--reveal")
    assert all(line.isprintable() for line in shown.stdout.splitlines())
    assert "dead-\\u009b31m\\u202e" in shown.stdout


async def test_an_export_can_be_read_by_preview(folder: Path) -> None:
    result = await asyncio.to_thread(run, folder, "dead-letters", "export", "--reveal")
    assert [orjson.loads(line) for line in result.stdout.splitlines()] == BROKEN
    plain = await asyncio.to_thread(run, folder, "dead-letters", "export")
    lines = [orjson.loads(line) for line in plain.stdout.splitlines()]
    assert [one["messageId"] for one in lines] == ["dead-1", "dead-2", "dead-3"]
    assert "example.com" not in plain.stdout
    assert all("original" not in one for one in lines)


async def test_discarding_is_counted_first(folder: Path) -> None:
    dry = said(await asyncio.to_thread(run, folder, "dead-letters", "discard"))
    assert "--discard gives up these 3." in dry
    options = ("discard", "--message-id", "dead-1", "--discard")
    assert "1 discarded" in said(await asyncio.to_thread(run, folder, "dead-letters", *options))
    assert "these 2" in said(await asyncio.to_thread(run, folder, "dead-letters", "discard"))


async def test_times_are_moments_or_how_long_ago(folder: Path) -> None:
    """What was received is of now, so it lies after an hour ago and before tomorrow."""
    for options, count in (
        (["--since", "1h"], 3),
        (["--until", "1h"], 0),
        (["--since", "2020-01-01"], 3),
        (["--until", "2020-01-01T00:00:00+02:00"], 0),
    ):
        shown = said(await asyncio.to_thread(run, folder, "replay", *options))
        expected = f"these {count}." if count else "Nothing is kept"
        assert expected in shown, options

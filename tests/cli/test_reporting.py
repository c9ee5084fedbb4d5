"""The command `report`: its forms, to a file or not, whoever serves it, and what it refuses."""

from __future__ import annotations

import asyncio
import csv
from io import StringIO
from pathlib import Path

import orjson
import pytest

from cli.test_operators import listening, run
from conversion_relay.sandbox import parse_fault
from support.events import order, track
from support.running import world


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a database with four conversions, one of them dead, that no service uses."""
    async with world(tmp_path) as here:
        here.sandbox.faults.switch_on([parse_fault("reject_event_id=o-1")])
        await here.post([order("o-1"), order("o-2"), order("o-3"), track("Other", "other")])
        await here.post(track("Products Searched", "s-1"))
        await here.settled()
    return tmp_path


async def report(folder: Path, *arguments: str, **changes: str) -> str:
    given = ("report", "--since", "1h", *arguments)
    result = await asyncio.to_thread(run, folder, *given, **changes)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


async def test_json_tells_what_became_of_them(folder: Path) -> None:
    told = orjson.loads(await report(folder, "--format", "json"))
    assert told["totals"]["received"] == {"count": 4, "value": {"EUR": "239.6"}}
    assert told["totals"]["on_time"] == {"count": 3, "value": {"EUR": "179.7"}}
    assert told["totals"]["dead"] == {"count": 1, "value": {"EUR": "59.9"}}
    assert {one["name"]: one["received"]["count"] for one in told["by_event"]} == {
        "PlaceAnOrder": 3,
        "Search": 1,
    }
    meanings = {one["code"]: one["meaning"] for one in told["answers"]}
    assert meanings == {0: "OK", 40002: "a value is not valid"}
    assert sum(one["received"] for one in told["course"]) == 4


async def test_markdown_is_for_reading(folder: Path) -> None:
    told = await report(folder)
    assert told.startswith("# Conversion delivery report\n")
    assert "- 4 conversions were received." in told
    assert "- Not accepted so far: 1 dead." in told
    assert not told.endswith("\n\n")


async def test_csv_keeps_its_ends_of_lines(folder: Path) -> None:
    rows = list(csv.DictReader(StringIO(await report(folder, "--format", "csv"), newline="")))
    assert sum(int(row["count"]) for row in rows) == 4


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("night.html", "<!doctype html>"),
        ("night.md", "# "),
        ("night.csv", "received_since,"),
        ("night.json", "{"),
        ("night", "# "),
    ],
)
async def test_a_file_says_its_form(folder: Path, name: str, begins: str) -> None:
    file = folder / name
    given = ("report", "--since", "1h", "--output", str(file))
    result = await asyncio.to_thread(run, folder, *given)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"wrote {file}" in result.stderr
    assert file.read_text("utf-8").startswith(begins)


async def test_a_running_service_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await here.post(order("o-1"))
        await here.settled()
        assert "- 1 conversion was received." in await report(tmp_path, RELAY_PORT=str(port))


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "Missing option '--since'"),
        (("--since", "soon"), 2, "it must be a time such as"),
        (("--since", "1h", "--until", "2h"), 2, "the period is reversed"),
        (("--since", "2026-01-14", "--until", "2026-01-14"), 2, "the period is empty"),
        (("--since", "2099-01-14"), 2, "since must be in the past"),
        (("--since", "1h", "--timezone", "Nowhere"), 2, "timezone must be known here"),
        (("--since", "1h", "--output", "/nowhere/at/all"), 1, "/nowhere/at/all cannot be written"),
    ],
)
async def test_what_is_refused(
    folder: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    result = await asyncio.to_thread(run, folder, "report", *arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert words in " ".join(result.stderr.replace("│", " ").split())

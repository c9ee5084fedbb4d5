"""The command `backfill`: what it says, where it says it, and its exit status."""

from __future__ import annotations

import asyncio
import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from conversion_relay.core.values import Json
from conversion_relay.service.app import open_relay
from conversion_relay.service.configuration import load
from support.events import order, track
from support.lines import Lines
from support.running import environment, world

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")


def run(folder: Path, *arguments: str | Path, text: bytes = b"", **changes: str) -> Result:
    """The command in this process; no service runs, so it opens the store itself."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    variables = environment(folder, "http://127.0.0.1:9", **changes)
    return CliRunner().invoke(
        application,
        ["backfill", *map(str, arguments)],
        input=text,
        env={**unset, **variables},
    )


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder in which the service has run before."""

    async def start() -> None:
        async with open_relay(load(environment(tmp_path, "http://127.0.0.1:9")), Lines()):
            pass

    asyncio.run(start())
    return tmp_path


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()  # noqa: TID251 - the command's


def write(path: Path, *events: Json | bytes) -> Path:
    lines = (one if isinstance(one, bytes) else orjson.dumps(one) for one in events)
    path.write_bytes(b"\n".join(lines))
    return path


def delivered(folder: Path) -> list[str]:
    """What the service makes of the folder's database once it runs."""

    async def settle() -> list[str]:
        async with world(folder) as running:
            return sorted(str(one.event_id) for one in await running.settled())

    return asyncio.run(settle())


def test_a_dry_run_counts_and_sends_nothing_and_needs_no_credentials(tmp_path: Path) -> None:
    file = write(
        tmp_path / "e.ndjson",
        order("m-1", timestamp=ago(1)),
        order("m-2", timestamp=ago(20)),
        track("Other", "m-3", timestamp=ago(0)),
        {"type": "page", "messageId": "m-4"},
    )
    result = run(tmp_path, "--dry-run", file, TIKTOK_ACCESS_TOKEN="", SEGMENT_SHARED_SECRET="")
    assert (result.exit_code, result.stderr) == (0, "")
    old = "too old, left out: older than 7 days, the oldest 20 days; --max-age raises this"
    assert result.stdout.splitlines() == [
        f"{file}: 4 lines",
        "          1  Order Completed",
        "          1  Other",
        "          1  page",
        "          1  of these carry no time and count as of when they are sent",
        f"          1  {old}",
    ]
    assert [one.name for one in tmp_path.iterdir()] == ["e.ndjson"], "not even a database is made"


def test_files_are_sent_and_what_they_share_only_once(here: Path) -> None:
    old = order("m-3", timestamp=ago(9))
    plain = write(here / "e.ndjson", order("m-1", timestamp=ago(1)), old)
    packed = here / "e.gz"
    packed.write_bytes(gzip.compress(orjson.dumps([order("m-1"), order("m-2")])))
    result = run(here, plain, packed, "--max-age", "3650d")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-4:] == [
        "sent to source default: 4 events",
        "          3  new",
        "          3  of these go to TikTok, as soon as the service runs",
        "          1  known already, not sent again",
    ]
    assert "RELAY_LEDGER_RETENTION" in result.stderr, "the ledger does not reach that far"
    again = run(here, plain, packed)
    assert "known already" in again.stdout
    assert " new" not in again.stdout
    assert delivered(here) == ["m-1", "m-2", "m-3"]


def test_standard_input(here: Path) -> None:
    result = run(here, "-", text=orjson.dumps(order("m-1", timestamp=ago(1))))
    assert result.exit_code == 0
    assert result.stdout.startswith("standard input: 1 lines")
    assert delivered(here) == ["m-1"]


def test_bad_lines_are_named_and_the_others_sent(here: Path) -> None:
    secret = b'{"type": "track", "messageId": "m-2", "properties": {"email": "lena@example.com"'
    file = write(here / "e.ndjson", order("m-1", timestamp=ago(1)), secret, order("m-3"), b"[5]")
    result = run(here, file, "--max-age", "3650d")
    assert result.exit_code == 1
    assert f"{file}: line 2 is no JSON" in result.stderr
    assert f"{file}: line 4 holds no event" in result.stderr
    assert "lena" not in result.output
    assert "          2  cannot be read" in result.stdout
    assert delivered(here) == ["m-1", "m-3"]


def test_a_file_that_is_cut_off(here: Path) -> None:
    lines = b"".join(orjson.dumps(order(f"m-{n}", timestamp=ago(1))) + b"\n" for n in range(5))
    file = here / "cut.gz"
    file.write_bytes(gzip.compress(lines)[:-4])
    result = run(here, file)
    assert result.exit_code == 1
    assert f"{file}: ends before line 6: the gzip data ends too early" in result.stderr
    assert delivered(here) == [f"m-{n}" for n in range(5)]


def test_a_file_that_is_something_else_is_asked_about(here: Path) -> None:
    file = write(
        here / "pretty.json",
        *orjson.dumps([order("m-1")], option=orjson.OPT_INDENT_2).splitlines(),
    )
    result = run(here, file)
    assert result.exit_code == 1
    assert "Is it NDJSON, with an event a line, or gzip?" in result.stderr
    assert len(result.stderr.splitlines()) == 22, "twenty lines are named"


def test_a_name_cannot_write_to_the_terminal(here: Path) -> None:
    names = [f"Event {n}" for n in range(40)]
    event = track("\x1b[31m" + "x" * 100, "m-0", timestamp=ago(1))
    more = [track(name, name, timestamp=ago(1)) for name in names]
    result = run(here, "--dry-run", write(here / "e.ndjson", event, event, *more))
    assert f"?[31m{'x' * 55}…" in result.stdout
    assert "\x1b" not in result.stdout
    assert "         11  of 11 other names" in result.stdout


def test_a_foreign_file_where_progress_would_be_kept_is_left_alone(here: Path) -> None:
    file = write(here / "e.ndjson", order("m-1", timestamp=ago(1)))
    (here / "e.ndjson.backfill").write_text("mine", "utf-8")
    result = run(here, file)
    assert result.exit_code == 1
    assert "move it away" in result.stderr
    assert delivered(here) == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Missing argument"),
        (["--nope", "e.ndjson"], 2, "No such option"),
        (["e.ndjson", "--max-age", "seven"], 2, "such as"),
        (["e.ndjson", "--max-age", "0s"], 2, "above 0"),
        (["-", "-"], 2, "only once"),
        (["e.ndjson", "--source", "web"], 2, 'no source "web" is configured; there are: default'),
        (["nope.ndjson"], 1, "nope.ndjson cannot be read: No such file or directory"),
        (["e.ndjson", "nope.ndjson"], 1, "nope.ndjson cannot be read"),
        (["."], 1, "cannot be read: Is a directory"),
    ],
)
def test_wrong_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, words: str
) -> None:
    monkeypatch.chdir(here)
    write(here / "e.ndjson", order("m-1", timestamp=ago(1)))
    result = run(here, *arguments)
    assert result.exit_code == status
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert delivered(here) == [], "nothing is sent before everything can be read"


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    result = run(tmp_path, write(tmp_path / "e.ndjson", order("m-1")))
    assert result.exit_code == 2
    assert "start the service once" in result.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["e.ndjson"]

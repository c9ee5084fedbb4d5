"""The command line as a process: readers that leave, and streams that cannot be used."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import orjson
import pytest

from support.events import order
from support.running import environment, world

PREVIEW = f"exec '{sys.executable}' -m conversion_relay preview"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """More events than a pipe holds."""
    file = tmp_path / "events.ndjson"
    file.write_bytes((orjson.dumps(order("m-1")) + b"\n") * 500)
    return file


def shell(command: str) -> Popen[bytes]:
    return Popen(["/bin/sh", "-c", command], stdin=PIPE, stdout=PIPE, stderr=PIPE)  # noqa: S603 - ours


def test_a_reader_that_leaves_ends_it_quietly(many: Path) -> None:
    with shell(f"{PREVIEW} '{many}'") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"messageId":"m-1"')
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


def test_a_reader_of_complaints_that_leaves_ends_it_too() -> None:
    with shell(f"yes nonsense | {PREVIEW}") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"line 1 is no JSON")
        process.stderr.close()
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("redirection", "words"),
    [
        ("{file} > /dev/full", "the output cannot be written: No space left on device"),
        ("{file} >&-", "standard output is closed; send it to a file or a program"),
        ("<&-", "standard input is closed; name a file of events, or pipe them in"),
    ],
)
def test_streams_that_cannot_be_used_are_said(many: Path, redirection: str, words: str) -> None:
    with shell(f"{PREVIEW} {redirection.format(file=many)}") as process:
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert said.decode() == f"conversion-relay: {words}\n"


def test_complaints_that_cannot_be_written_change_no_exit_status() -> None:
    with shell(f"{PREVIEW} --config no-such-file.toml 2> /dev/full") as process:
        assert process.wait(60) == 2


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_full_disk_is_said_whatever_was_to_be_written(option: str) -> None:
    with shell(f"exec '{sys.executable}' -m conversion_relay {option} > /dev/full") as process:
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert said.startswith("conversion-relay: ")
    assert said.endswith("No space left on device\n")
    assert len(said.splitlines()) == 1


@pytest.fixture
async def dead(tmp_path: Path) -> Path:
    """The folder of a database with one event."""
    async with world(tmp_path) as here:
        await here.post(order("grün-1"))
        await here.settled()
    return tmp_path


def operate(folder: Path, command: str, **changes: str) -> tuple[int, str, str]:
    """Status, output and complaints of a command on that database."""
    variables = {**os.environ, **environment(folder, "http://127.0.0.1:9"), **changes}
    line = f"exec '{sys.executable}' -m conversion_relay {command}"
    with Popen(["/bin/sh", "-c", line], stdout=PIPE, stderr=PIPE, env=variables) as process:  # noqa: S603 - ours
        out, said = process.communicate(timeout=60)
    return process.returncode, out.decode(), said.decode()


@pytest.mark.parametrize(
    "command",
    [
        "replay --state delivered",
        "dead-letters list --state delivered",
        "dead-letters show 1",
        "dead-letters export --state delivered",
        "dead-letters discard",
    ],
)
def test_operators_too_are_told_of_a_full_disk_in_one_sentence(dead: Path, command: str) -> None:
    status, _, said = operate(dead, f"{command} > /dev/full")
    words = "the output cannot be written: No space left on device"
    assert (status, said) == (1, f"conversion-relay: {words}\n")


@pytest.mark.parametrize(
    "command", ["dead-letters list --state delivered", "dead-letters show 1", "preview 'grün'"]
)
def test_what_an_encoding_cannot_show_is_written_as_a_number(dead: Path, command: str) -> None:
    _, out, said = operate(dead, command, PYTHONIOENCODING="ascii")
    assert "Traceback" not in said
    assert "gr\\xfcn" in out + said

"""The command line as a process: readers that leave, and streams that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, Popen

import orjson
import pytest

from support.events import order

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

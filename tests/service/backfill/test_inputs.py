"""Files, pipes and standard input: each can be read twice."""

from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from conversion_relay.errors import RelayError
from conversion_relay.service.backfill.inputs import find_input


def _twice(path: Path, standard_input: io.BytesIO | None = None) -> tuple[bytes, bytes]:
    one = find_input(path, standard_input)
    found = []
    for _ in range(2):
        with one.opened() as file:
            found.append(file.read())
    one.close()
    return found[0], found[1]


def test_a_file_keeps_its_path(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"content")
    assert _twice(path) == (b"content", b"content")
    assert find_input(path, None).path == path


def test_standard_input_is_copied() -> None:
    packed = gzip.compress(b"content")
    assert _twice(Path("-"), io.BytesIO(packed)) == (packed, packed)
    one = find_input(Path("-"), io.BytesIO(packed))
    assert (one.name, one.path) == ("standard input", None)
    one.close()


def test_standard_input_that_is_closed() -> None:
    with pytest.raises(RelayError, match="standard input is closed"):
        find_input(Path("-"), None)


def test_a_pipe_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"content" * 100_000,))
    writer.start()
    one = find_input(path, None)
    writer.join()
    assert one.path is None
    for _ in range(2):
        with one.opened() as file:
            assert len(file.read()) == 700_000
    one.close()


@pytest.mark.parametrize("name", ["nope", "."])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(RelayError, match="cannot be read"):
        find_input(tmp_path / name, None)


def test_a_file_that_goes_away_in_between(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"content")
    one = find_input(path, None)
    path.unlink()
    with pytest.raises(RelayError, match="No such file"), one.opened():
        pass


class _Full(io.BytesIO):
    def read(self, _: int | None = -1, /) -> bytes:
        """As a disk answers that is full."""
        raise OSError(28, "No space left on device")


def test_a_copy_that_fails_is_said() -> None:
    with pytest.raises(RelayError, match="No space left on device; save it as a file"):
        find_input(Path("-"), _Full())

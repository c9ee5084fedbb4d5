"""The progress file: for whom it counts, and what it never overwrites."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from conversion_relay.errors import RelayError
from conversion_relay.service.backfill.progress import ProgressFile, Task, identity

TASK = Task(100, "abc", "default", 604800.0, "/data/relay.db", 5)


@pytest.fixture
def here(tmp_path: Path) -> ProgressFile:
    return ProgressFile(tmp_path / "events.ndjson.backfill", TASK)


def test_without_a_file_nothing_is_done(here: ProgressFile) -> None:
    assert here.lines_done() == 0


def test_what_was_written_is_read(here: ProgressFile) -> None:
    here.write(7)
    here.write(12)
    assert here.lines_done() == 12
    assert [file.name for file in here.path.parent.iterdir()] == [here.path.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"size_bytes": 101},
        {"head_sha256": "abd"},
        {"source": "other"},
        {"max_age_seconds": 1.0},
        {"database": "/data/other.db"},
        {"modified_ns": 6},
    ],
)
def test_the_progress_of_another_task_does_not_count(
    here: ProgressFile, changes: dict[str, object]
) -> None:
    here.write(12)
    other = ProgressFile(here.path, replace(TASK, **changes))  # type: ignore[arg-type]  # a table
    assert other.lines_done() is None
    other.write(3)
    assert other.lines_done() == 3


@pytest.mark.parametrize("text", ["", "\0\0\0", "\n"])
def test_a_file_that_a_power_loss_emptied_is_begun_anew(here: ProgressFile, text: str) -> None:
    here.path.write_text(text, "utf-8")
    assert here.lines_done() is None


@pytest.mark.parametrize(
    "content",
    [b"mine", b'{"type":"track"}', b"\xff", b"[]", b'{"task": {}, "lines_done": 5}', b"5"],
)
def test_a_file_that_is_no_progress_is_left_alone(here: ProgressFile, content: bytes) -> None:
    here.path.write_bytes(content)
    with pytest.raises(RelayError, match="move it away") as raised:
        here.lines_done()
    assert str(here.path) in str(raised.value)
    assert here.path.read_bytes() == content


def test_no_negative_position_is_believed(here: ProgressFile) -> None:
    here.write(5)
    here.path.write_text(here.path.read_text("utf-8").replace(": 5", ": -5"), "utf-8")
    with pytest.raises(RelayError):
        here.lines_done()


def test_a_folder_in_its_place_is_said(here: ProgressFile) -> None:
    here.path.mkdir()
    with pytest.raises(RelayError, match="cannot be read"):
        here.lines_done()


def test_it_is_removed_at_the_end(here: ProgressFile) -> None:
    here.write(5)
    here.remove()
    here.remove()
    assert not list(here.path.parent.iterdir())


def test_the_identity_is_size_and_beginning() -> None:
    file = io.BytesIO(b"x" * 100_000)
    size, head = identity(file)
    assert (size, file.tell()) == (100_000, 0)
    assert identity(io.BytesIO(b"x" * 99_999)) == (99_999, head)
    assert identity(io.BytesIO(b"y" + b"x" * 99_999))[1] != head
    assert identity(io.BytesIO(b"")) == (0, identity(io.BytesIO())[1])


def test_what_a_link_points_to_is_never_written(here: ProgressFile) -> None:
    victim = here.path.parent / "victim"
    victim.write_text("precious", "utf-8")
    here.path.with_name(f"{here.path.name}.new").symlink_to(victim)
    here.write(7)
    assert victim.read_text("utf-8") == "precious"
    assert (here.lines_done(), here.path.is_symlink()) == (7, False)

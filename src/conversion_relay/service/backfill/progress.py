"""How far a file was sent, kept beside it, so that a run that was interrupted can go on.

The ledger of messageIds makes a repetition harmless; this only makes it short. Without it, or
where anything differs from what it was, the file is begun anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import Field, TypeAdapter, ValidationError

from conversion_relay.errors import RelayError

_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Task:
    """What is sent where: a progress counts only for the same.

    Attributes:
        size_bytes: of the file.
        head_sha256: of its first 64 KiB.
        source: under which its events are kept.
        max_age_seconds: above which events were left out.
        database: where they are kept.
        modified_ns: when the file was written last, in nanoseconds since 1970.
    """

    size_bytes: int
    head_sha256: str
    source: str
    max_age_seconds: float
    database: str
    modified_ns: int


@dataclass(frozen=True, slots=True)
class _Progress:
    task: Task
    lines_done: Annotated[int, Field(ge=0)]


_PROGRESS: Final = TypeAdapter(_Progress)


def identity(file: BinaryIO) -> tuple[int, str]:
    """The size and the hash of the beginning; the file is at its beginning before and after."""
    head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    size = file.seek(0, 2)
    file.seek(0)
    return size, head


@dataclass(frozen=True, slots=True)
class ProgressFile:
    """The file `FILE.backfill` of one task."""

    path: Path
    task: Task

    def lines_done(self) -> int | None:
        """How many lines need not be sent again; None where another task left it.

        Raises:
            RelayError: there is a file of this name which is no progress.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise RelayError(f"{self.path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise self._foreign() from None
        return self._lines_of(text)

    def _lines_of(self, text: str) -> int | None:
        if not text.strip("\0 \n"):  # the machine went down before it was on the disk
            return None
        try:
            found = _PROGRESS.validate_json(text)
        except ValidationError:
            raise self._foreign() from None
        return found.lines_done if found.task == self.task else None

    def _foreign(self) -> RelayError:
        return RelayError(
            f"{self.path} is where the progress would be kept, and it holds something else; "
            "move it away"
        )

    def write(self, lines_done: int) -> None:
        """Keeps how many lines are done, all at once.

        Raises:
            OSError: it cannot be written.
        """
        progress = _Progress(self.task, lines_done)
        fresh = self.path.with_name(f"{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        with fresh.open("xb") as file:  # made anew: never through a link that stands there
            file.write(_PROGRESS.dump_json(progress, indent=2) + b"\n")
        fresh.replace(self.path)

    def remove(self) -> None:
        """Forgets it: the file is done.

        Raises:
            OSError: it cannot be removed.
        """
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.new").unlink(missing_ok=True)

"""The files a backfill reads, each of them twice: to count, and to send.

What cannot be read twice (standard input, a pipe) is copied first into a temporary file without a
name, which nobody else can open and which is gone with the process. Knows no line.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from conversion_relay.errors import RelayError

STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Input:
    """A file to be read from its beginning as often as it is asked for, until it is closed.

    Attributes:
        name: for people.
        path: where it can be found again; None of a copy.
    """

    name: str
    path: Path | None
    _copy: BinaryIO | None = field(default=None, repr=False)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file at its beginning.

        Raises:
            RelayError: it cannot be opened any more.
        """
        if self._copy is not None:
            self._copy.seek(0)
            yield self._copy
        elif self.path is not None:
            with _open(self.path) as file:
                yield file

    def close(self) -> None:
        """Lets go of the copy."""
        if self._copy is not None:
            self._copy.close()


def find_input(path: Path, standard_input: BinaryIO | None) -> Input:
    """The file of this path, or what comes from standard input if it is "-".

    Raises:
        RelayError: it cannot be read.
    """
    if path == STANDARD_INPUT:
        if standard_input is None:
            raise RelayError("standard input is closed; name a file of events, or pipe them in")
        return Input("standard input", None, _copied(standard_input, "standard input"))
    with _open(path) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return Input(str(path), path)
        return Input(str(path), None, _copied(file, str(path)))


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RelayError(f"{path} cannot be read: {error.strerror}") from error


def _copied(source: BinaryIO, name: str) -> BinaryIO:
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - lives as long as the Input
    try:
        shutil.copyfileobj(source, copy)
        copy.flush()
    except OSError as error:
        copy.close()
        reason = f"{name} cannot be copied to a temporary file: {error.strerror}"
        raise RelayError(f"{reason}; save it as a file and name that") from error
    return copy

"""What every command shares: the environment it reads, how it speaks, and how it ends.

Exit status 2 means that the configuration cannot be used, 1 that something in the input or the
surroundings could not, 141 that whoever read the output left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service.configuration import unknown_variables

INPUT_PROBLEM: Final = 1
_CONFIGURATION_PROBLEM: Final = 2
_READER_LEFT: Final = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file; default: RELAY_CONFIG, or the environment alone."),
]


@contextmanager
def explained() -> Iterator[None]:
    """Turns an expected problem into one message and an exit status."""
    try:
        yield
    except RelayError as error:
        complain(f"conversion-relay: {error}")
        wrong_setting = isinstance(error, ConfigurationError)
        raise typer.Exit(_CONFIGURATION_PROBLEM if wrong_setting else INPUT_PROBLEM) from None


def environment() -> Mapping[str, str]:
    """The variables of the process."""
    return os.environ


def warn_of_unknown_variables(config: Path | None) -> None:
    """Names each variable that looks like one of ours, and is none."""
    for warning in unknown_variables(environment(), config):
        complain(f"conversion-relay: warning: {warning}")


def complain(text: str) -> None:
    """Writes a line to standard error, or leaves it unsaid where that cannot be written."""
    with suppress(RelayError, typer.Exit):
        say(text, err=True)


def say(text: str, *, err: bool = False) -> None:
    """Writes a line.

    Raises:
        typer.Exit: whoever read the output has left.
        RelayError: the output cannot be written.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        raise RelayError("standard output is closed; send it to a file or a program")
    try:
        typer.echo(text, file=stream)
    except OSError as error:
        forget_unwritten(stream)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(_READER_LEFT) from None
        raise RelayError(f"the output cannot be written: {error.strerror}") from error


def show_every_character(*streams: TextIO | None) -> None:
    """A character that a stream's encoding does not have is written as its number."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forget_unwritten(stream: TextIO | None) -> None:
    """What could not be written is not tried again, and complained of, at the exit."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Sentences:
    """A log for people who read along: what is wrong in plain words, and nothing else."""

    def info(self, event: str, **details: object) -> None:
        """Leaves it out."""

    def warning(self, event: str, **details: object) -> None:
        """Says it."""
        told = ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
        complain(f"conversion-relay: {event}: {told}")

    error = warning

"""The command line: each command reads its options, calls the service, explains what went wrong.

Knows no concrete destination and no store; exit status 2 means that the configuration cannot be
used, 1 that something in the input or the surroundings could not, 141 that whoever read the output
left.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO, Final, TextIO

import typer

from conversion_relay import __version__
from conversion_relay import demo as demonstration
from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.sandbox import create_sandbox, known_faults, parse_fault
from conversion_relay.sandbox import serve as serve_sandbox
from conversion_relay.service import app as service
from conversion_relay.service.configuration import load, load_for_preview, unknown_variables
from conversion_relay.service.logs import configure_logs
from conversion_relay.service.preview import Unshown
from conversion_relay.service.preview import preview as preview_lines

_INPUT_PROBLEM: Final = 1
_CONFIGURATION_PROBLEM: Final = 2
_READER_LEFT: Final = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""

application = typer.Typer(
    name="conversion-relay",
    help="Relays Segment events to TikTok's Events API as conversions, and loses none.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file; default: RELAY_CONFIG, or the environment alone."),
]


def main() -> None:
    """Runs the command line."""
    try:
        application()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _forget_unwritten(sys.stdout)
        _complain(f"conversion-relay: {error.strerror}")
        sys.exit(_INPUT_PROBLEM)


@contextmanager
def _explained() -> Iterator[None]:
    """Turns an expected problem into one message and an exit status."""
    try:
        yield
    except RelayError as error:
        _complain(f"conversion-relay: {error}")
        wrong_setting = isinstance(error, ConfigurationError)
        raise typer.Exit(_CONFIGURATION_PROBLEM if wrong_setting else _INPUT_PROBLEM) from None


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        with _explained():
            _say(__version__)
        raise typer.Exit


@application.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Relays Segment events to TikTok's Events API as conversions, and loses none."""


@application.command()
def serve(config: ConfigOption = None) -> None:
    """Run the service: webhook, store and delivery."""
    with _explained():
        configuration = load(_environment(), config)
        _warn_of_unknown_variables(config)
        log = configure_logs(configuration.service.log_format)
        service.run(configuration, log)


@application.command()
def preview(
    events: Annotated[
        Path | None, typer.Argument(help="NDJSON of Segment events; default: standard input.")
    ] = None,
    config: ConfigOption = None,
    mappings: Annotated[
        Path | None,
        typer.Option(
            "--mappings", help="JSON list of mappings in Segment's form, instead of the presets."
        ),
    ] = None,
) -> None:
    """Show what would be sent for each event. Needs no credentials and no network."""
    with _explained():
        targets = service.build_targets(load_for_preview(_environment(), config), mappings)
        _warn_of_unknown_variables(config)
        unshown = 0
        for result in preview_lines(_lines(events), targets, service.now()):
            if isinstance(result, Unshown):
                unshown += 1
                _say(f"line {result.number} {result.problem}", err=True)
            else:
                _say(result.line)
    if unshown:
        raise typer.Exit(_INPUT_PROBLEM)


@application.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 9090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="A fault to switch on: NAME or NAME=VALUE; repeatable."),
    ] = None,
    token: Annotated[
        list[str] | None, typer.Option(help="Accept only this access token; repeatable.")
    ] = None,
) -> None:
    """Run a stand-in for TikTok's Events API, stricter than TikTok.

    Point the service at it with TIKTOK_API_URL=http://127.0.0.1:PORT. `--fault help` lists the
    faults.
    """
    with _explained():
        if fault == ["help"]:
            _say(known_faults())
            return
        stand_in = create_sandbox(
            clock=lambda: service.now().timestamp(),
            access_tokens=frozenset(token or ()) or None,
            faults=[parse_fault(text) for text in fault or ()],
        )
        _say(f"sandbox: http://{host}:{port}/__sandbox/conversions (Ctrl-C ends it)")
        serve_sandbox(stand_in, port, host)


@application.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End with status 0 as soon as all events arrived.")
    ] = False,
) -> None:
    """Run sandbox and service in a temporary folder and relay a shop's events."""
    with _explained():
        demonstration.run(once=once)


def _environment() -> Mapping[str, str]:
    return os.environ


def _warn_of_unknown_variables(config: Path | None) -> None:
    for warning in unknown_variables(_environment(), config):
        _complain(f"conversion-relay: warning: {warning}")


def _lines(path: Path | None) -> Iterator[bytes]:
    name = "standard input" if path is None else str(path)
    try:
        with _standard_input() if path is None else path.open("rb") as file:
            yield from file
    except OSError as error:
        raise RelayError(f"{name} cannot be read: {error.strerror}") from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise RelayError("standard input is closed; name a file of events, or pipe them in")
    return sys.stdin.buffer


def _complain(text: str) -> None:
    """Writes a line to standard error, or leaves it unsaid where that cannot be written."""
    with suppress(RelayError, typer.Exit):
        _say(text, err=True)


def _say(text: str, *, err: bool = False) -> None:
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
        _forget_unwritten(stream)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(_READER_LEFT) from None
        raise RelayError(f"the output cannot be written: {error.strerror}") from error


def _forget_unwritten(stream: TextIO | None) -> None:
    """What could not be written is not tried again, and complained of, at the exit."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

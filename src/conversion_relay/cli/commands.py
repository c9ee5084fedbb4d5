"""The commands that run by themselves: service, preview, sandbox, demonstration."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from conversion_relay import __version__
from conversion_relay import demo as demonstration
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    ConfigOption,
    environment,
    explained,
    say,
    warn_of_unknown_variables,
)
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.reception import EventLimits
from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.sandbox import create_sandbox, known_faults, parse_fault
from conversion_relay.sandbox import serve as serve_sandbox
from conversion_relay.service import app as service
from conversion_relay.service import processes as processes_of_one_address
from conversion_relay.service import serving
from conversion_relay.service.configuration import load_for_preview
from conversion_relay.service.environment import DEFAULT_SOURCE
from conversion_relay.service.logs import Log, configure_logs
from conversion_relay.service.preview import Previewed, Unshown
from conversion_relay.service.preview import preview as preview_lines
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.steps import Start
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.cluster import Role
from conversion_relay.service.targets import build_targets, sharing_warnings

application = typer.Typer(
    name="conversion-relay",
    help="Relays Segment events to TikTok's Events API as conversions, and loses none.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        with explained():
            say(__version__)
        raise typer.Exit


@application.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Relays Segment events to TikTok's Events API as conversions, and loses none."""


_StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="End with status 2 where the configuration cannot be used or was refused, instead of "
        "starting with the version that ran last.",
    ),
]


_RoleOption = Annotated[
    Role,
    typer.Option(
        "--role",
        help="What this node does over PostgreSQL: take events in, deliver them, or all.",
    ),
]
_ProcessesOption = Annotated[
    int,
    typer.Option(
        "--processes",
        min=1,
        max=64,
        help="So many nodes on this machine over PostgreSQL, behind one address.",
    ),
]


@application.command()
def serve(
    config: ConfigOption = None,
    strict: _StrictOption = False,
    role: _RoleOption = Role.ALL,
    processes: _ProcessesOption = 1,
) -> None:
    """Run the service: webhook, store and delivery."""
    with explained():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it listens to it: it would end it
        files = Files(environment(), config)

        def begin(process: str | None) -> tuple[Start, Log]:
            start = asyncio.run(start_of(files, service.newest_version, strict=strict))
            settings = start.candidate.configuration.service
            serving.require_several(settings, role, processes)
            return start, configure_logs(settings.log_format, process)

        start, log = begin(None)
        if processes == 1:
            serving.run(start, log, serving.Post(role))
        else:  # each reads the files itself: by the time one is started again they may say more
            settings = start.candidate.configuration.service
            each = partial(_serve_at, begin)
            processes_of_one_address.run(settings, role, processes, each, log)


def _serve_at(begin: Callable[[str | None], tuple[Start, Log]], post: serving.Post) -> None:
    start, log = begin(post.node)
    serving.run(start, log, post)


_MappingsOption = Annotated[
    Path | None,
    typer.Option(
        "--mappings", help="JSON list of mappings in Segment's form, instead of the presets."
    ),
]
_ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Say what filters and settings keep from TikTok.")
]
_SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="As events of this source; default: to every destination, remembering match keys "
        "as the only source does, or the one named default.",
    ),
]


@application.command()
def preview(
    events: Annotated[
        Path | None, typer.Argument(help="NDJSON of Segment events; default: standard input.")
    ] = None,
    config: ConfigOption = None,
    mappings: _MappingsOption = None,
    explain: _ExplainOption = False,
    source: _SourceOption = None,
) -> None:
    """Show what would be sent for each event. Needs no credentials and no network."""
    with explained():
        configuration = load_for_preview(environment(), config)
        targets = build_targets(configuration, mappings)
        if source is not None:
            routes = _known_source(configuration, source)
            targets = tuple(one for one in targets if one.name in routes)
        warn_of_unknown_variables(config)
        for place, sentence in sharing_warnings(configuration):
            say(f"{'.'.join(place)} {sentence}", err=True)
        lines, memory = _lines(events), _memory(configuration, source)
        kept = configuration.service
        limits = EventLimits(kept.max_event_bytes, kept.max_nesting)
        all_shown = _show(
            preview_lines(lines, targets, service.now(), memory, explain=explain, limits=limits)
        )
    if not all_shown:
        raise typer.Exit(INPUT_PROBLEM)


def _show(results: Iterable[Previewed | Unshown]) -> bool:
    """Says each; whether every line of the input could be shown."""
    all_shown = True
    for result in results:
        if isinstance(result, Unshown):
            all_shown = False
            say(f"line {result.number} {result.problem}", err=True)
        else:
            say(result.line)
    return all_shown


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
    with explained():
        if fault == ["help"]:
            say(known_faults())
            return
        stand_in = create_sandbox(
            clock=lambda: service.now().timestamp(),
            access_tokens=frozenset(token or ()) or None,
            faults=[parse_fault(text) for text in fault or ()],
        )
        say(f"sandbox: http://{host}:{port}/__sandbox/conversions (Ctrl-C ends it)")
        serve_sandbox(stand_in, port, host)


@application.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End with status 0 as soon as all events arrived.")
    ] = False,
    outage: Annotated[
        bool, typer.Option("--outage", help="An outage of 14 hours, in two minutes.")
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Three nodes over one PostgreSQL, to be killed.")
    ] = False,
) -> None:
    """Run sandbox and service in a temporary folder and relay a shop's events."""
    with explained():
        if outage and cluster:
            raise ConfigurationError("--outage and --cluster are two demonstrations; choose one")
        if cluster:
            demonstration.run_cluster(once=once)
        else:
            (demonstration.run_outage if outage else demonstration.run)(once=once)


def _known_source(configuration: Configuration, name: str) -> tuple[str, ...]:
    """The destinations of the source.

    Raises:
        ConfigurationError: there is no such source.
    """
    if name not in configuration.sources:
        known = ", ".join(configuration.sources)
        raise ConfigurationError(f"--source: there is no source of this name; known: {known}")
    return configuration.destinations_of(name)


def _memory(configuration: Configuration, source: str | None) -> Memory | None:
    """An empty memory, where the source whose events these are has one."""
    sources = configuration.sources
    name = source or (DEFAULT_SOURCE if len(sources) > 1 else next(iter(sources)))
    return Memory() if name in sources and sources[name].match_keys else None


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

"""The command that sends events of files: counts them first, then has the service keep them.

Knows the words and the exit statuses; what is read and sent is the service's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from conversion_relay.cli.backfill_words import Meter, say_total, shown
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    ConfigOption,
    Sentences,
    complain,
    environment,
    explained,
    warn_of_unknown_variables,
)
from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service import app as service
from conversion_relay.service.backfill.inputs import STANDARD_INPUT, Input, find_input
from conversion_relay.service.backfill.sending import Bounds, Door
from conversion_relay.service.backfill.survey import Horizon, Survey, in_words
from conversion_relay.service.backfill.transfer import Transfer, count
from conversion_relay.service.configuration import load, load_for_preview
from conversion_relay.service.durations import read_duration
from conversion_relay.service.environment import DEFAULT_SOURCE
from conversion_relay.service.operating import admin_client
from conversion_relay.service.place import holds_data
from conversion_relay.service.settings import Configuration, ServiceSettings

_INTERRUPTED: Final = 128 + 2
_BATCH_EVENTS: Final = 200
_BATCH_BYTES: Final = 1024 * 1024
_DEFAULT_MAX_AGE: Final = "7d"


def backfill(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="NDJSON of Segment events or gzip of it; - is standard input."
        ),
    ],
    source: Annotated[
        str, typer.Option(help="The configured source whose events these are.")
    ] = DEFAULT_SOURCE,
    max_age: Annotated[
        str, typer.Option(help="Leave out what happened longer ago, such as 12h or 30d.")
    ] = _DEFAULT_MAX_AGE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what the files hold.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Send events of files, such as exports of an outage; what was sent before is not sent again.

    The files are read and counted first. An interrupted run goes on where it ended.
    """
    horizon = Horizon(service.now(), _age(max_age))
    _check_names(files)
    with explained(), ExitStack() as stack:
        configuration = (load_for_preview if dry_run else load)(environment(), config)
        warn_of_unknown_variables(config)
        _check_source(configuration, source)
        if not dry_run:
            _check_database(configuration.service)
        _warn_of_forgotten(horizon.max_age, configuration.service.retentions.ledger)
        inputs = [_found(file, stack) for file in files]
        counted = [(one, shown(one, count(one, horizon), horizon)) for one in inputs]
        if not dry_run:
            _send(configuration, source, horizon, counted)
    if any(one.unreadable or one.damage for _, one in counted):
        raise typer.Exit(INPUT_PROBLEM)


def _age(text: str) -> timedelta:
    found = read_duration(text)
    if not found:
        raise typer.BadParameter(
            "it must be a number above 0 with s, m, h or d, such as 12h or 30d",
            param_hint="--max-age",
        )
    return found


def _found(file: Path, stack: ExitStack) -> Input:
    one = find_input(file, _standard_input())
    stack.callback(one.close)
    return one


def _standard_input() -> BinaryIO | None:
    return None if sys.stdin is None else sys.stdin.buffer


def _check_names(files: Sequence[Path]) -> None:
    if files.count(STANDARD_INPUT) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="FILE...")


def _check_source(configuration: Configuration, source: str) -> None:
    if source not in configuration.sources:
        known = ", ".join(sorted(configuration.sources))
        raise ConfigurationError(f'no source "{source}" is configured; there are: {known}')


def _check_database(settings: ServiceSettings) -> None:
    """A new database in a wrong place would take the events, and nobody would ever send them."""
    path = settings.database_path
    if path is not None and not holds_data(path):
        raise ConfigurationError(
            f"there is no database at {path}: run this with the RELAY_DATABASE_URL of the "
            "service, or start the service once"
        )


def _warn_of_forgotten(max_age: timedelta, remembered: timedelta) -> None:
    if max_age > remembered:
        complain(
            f"conversion-relay: warning: the service remembers for {in_words(remembered)} what it "
            "has had (RELAY_LEDGER_RETENTION); an event it took longer ago would count again"
        )


def _send(
    configuration: Configuration,
    source: str,
    horizon: Horizon,
    counted: Sequence[tuple[Input, Survey]],
) -> None:
    meter = Meter()
    try:
        asyncio.run(_send_all(configuration, source, horizon, counted, meter))
    except KeyboardInterrupt:
        complain("conversion-relay: interrupted; the same command goes on where this one ended")
        raise typer.Exit(_INTERRUPTED) from None
    except RelayError:
        if meter.total:
            complain("conversion-relay: the same command goes on where this one ended")
        raise
    finally:
        say_total(source, meter.total)


def _identity(settings: ServiceSettings) -> str:
    """The database, as far as what was sent to it is remembered."""
    if settings.database_path is None:
        return settings.database_url
    path = settings.database_path.resolve()
    return f"{path}, file {path.stat().st_ino}"


async def _send_all(
    configuration: Configuration,
    source: str,
    horizon: Horizon,
    counted: Sequence[tuple[Input, Survey]],
    meter: Meter,
) -> None:
    settings = configuration.service
    bounds = Bounds(
        min(_BATCH_EVENTS, settings.max_batch_events),
        min(_BATCH_BYTES, settings.max_body_bytes) - 2,
    )
    database = _identity(settings)
    async with admin_client(configuration, Sentences()) as client:
        door = Door(client, source, asyncio.sleep, meter.waiting)
        transfer = Transfer(door, horizon, bounds, database, meter)
        for one, survey in counted:
            with meter.showing(one.name, survey.lines):
                await transfer.send(one, survey)

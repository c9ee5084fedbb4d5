"""The command that moves all that is kept from an embedded database to PostgreSQL.

Knows the words and the exit statuses; what is moved, and how, is the service's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from conversion_relay.cli.speaking import (
    ConfigOption,
    complain,
    environment,
    explained,
    say,
    warn_of_unknown_variables,
)
from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service import app as service
from conversion_relay.service.configuration import load
from conversion_relay.service.move.parts import Part
from conversion_relay.service.move.transfer import Move, Moved
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.stores import open_new, open_old

_INTERRUPTED: Final = 128 + 2
_URL: Final = "RELAY_DATABASE_URL"
_ROWS_BETWEEN_WORDS: Final = 50_000
_AGAIN: Final = "conversion-relay: the same command goes on where this one ended"


def move(
    old: Annotated[
        str, typer.Option("--from", metavar="URL", help="The old database: sqlite:///PATH.")
    ],
    new: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="The new one, empty: postgresql://user@host/database; its password in "
            "RELAY_DATABASE_PASSWORD.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be moved.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Give a move up: the old database may be served again. Never after the new one "
            "was served: what it delivered would be delivered twice.",
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Move all that is kept from an embedded database to PostgreSQL, with no service running.

    Nothing is lost and nothing sent twice. An interrupted move goes on where it ended; the old
    database is kept, and is not served any more.
    """
    with explained():
        if undo == (new is not None):
            raise ConfigurationError("give either --to, or --undo without it")
        settings = _settings(new, config)
        if undo:
            _undo(old, settings)
        elif dry_run:
            counts = asyncio.run(_move(old, settings, dry_run=True))
            say(f"{old} holds")
            _say_counts(counts)
        else:
            _moved(old, settings)


def _settings(new: str | None, config: Path | None) -> ServiceSettings:
    """Of the service, with the new database; secrets are the environment's as ever."""
    told = environment()
    if new is not None:
        told = {**told, _URL: new, f"{_URL}_FILE": ""}
    configuration = load(told, config)
    warn_of_unknown_variables(config)
    return configuration.service


def _undo(old: str, settings: ServiceSettings) -> None:
    origin = open_old(old, settings, service.now())
    try:
        mark = origin.mark()
        origin.set_mark(None)
    finally:
        origin.close()
    if mark is None:
        say(f"{old} was not moved; nothing was changed")
    else:
        say(f"{old} may be served again; throw away what is in {mark.place}")


def _moved(old: str, settings: ServiceSettings) -> None:
    try:
        counts = asyncio.run(_move(old, settings, dry_run=False))
    except KeyboardInterrupt:
        complain(_AGAIN)
        raise typer.Exit(_INTERRUPTED) from None
    say(f"moved to {settings.database_url}; both hold the same:")
    _say_counts(counts)
    say(f"set RELAY_DATABASE_URL to {settings.database_url} and start the service")


async def _move(old: str, settings: ServiceSettings, *, dry_run: bool) -> Mapping[str, int]:
    async with AsyncExitStack() as stack:
        # First the old one: with a wrong key nothing of it is to be in the new one.
        origin = await asyncio.to_thread(open_old, old, settings, service.now())
        stack.callback(origin.close)
        target = await open_new(settings)
        stack.push_async_callback(target.close)
        sizes = await asyncio.to_thread(origin.sizes)
        with _showing(sum(sizes.values())) as meter:
            place = settings.database_url
            whole = Move(origin, target, place, lambda: secrets.token_hex(8), meter.passed)
            if dry_run:
                return await whole.count()
            done = await _run(whole)
    if done.was_done:
        say("an earlier run had moved all of it")
    for what, count in done.closed.items():
        complain(f"conversion-relay: {count:,} {what} were damaged before, and stay so")
    return done.counts


async def _run(whole: Move) -> Moved:
    try:
        return await whole.run()
    except StoreUnavailable:
        complain(_AGAIN)
        raise


def _say_counts(counts: Mapping[str, int]) -> None:
    for what, count in sorted(counts.items()):
        if count:
            say(f"{count:>12,}  {what}")


@dataclass(slots=True)
class _Meter:
    """Shows how far it is: in a bar, else in a line now and then."""

    total: int
    bar: Progress | None = None
    _done: int = 0
    _said: int = 0

    def passed(self, part: Part, rows: int) -> None:
        """So many rows more are there."""
        self._done += rows
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self._done, description=part.words)
        elif self._done >= self._said + _ROWS_BETWEEN_WORDS:
            self._said = self._done
            complain(f"conversion-relay: {self._done:,} of {self.total:,} rows moved")


@contextmanager
def _showing(total: int) -> Iterator[_Meter]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Meter(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        bar.add_task("moving", total=total)
        yield _Meter(total, bar)

"""The commands of operators: `replay`, and `dead-letters` with what can be done to them.

They speak to the admin paths, whoever serves these, and know nothing of the store.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final, TypeVar

import httpx
import orjson
import typer

from conversion_relay.cli import event_words
from conversion_relay.cli import operator_words as words
from conversion_relay.cli.filters import Filters, filtered, given_text
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    ConfigOption,
    Sentences,
    complain,
    environment,
    explained,
    say,
    warn_of_unknown_variables,
)
from conversion_relay.errors import RelayError
from conversion_relay.service.configuration import load
from conversion_relay.service.http.admin.events import DISCARDS, EVENTS, REPLAYS
from conversion_relay.service.http.admin.forms import (
    DEAD_LETTERS,
    DiscardAnswer,
    PageAnswer,
    ReplayAnswer,
)
from conversion_relay.service.http.admin.shown import EventsAnswer, EventShown
from conversion_relay.service.operating import admin_client, answer_of
from conversion_relay.service.replay import PAGE_EVENTS, Source
from conversion_relay.service.settings import Configuration
from conversion_relay.service.stores import require_kept

Answer = TypeVar("Answer", bound=PageAnswer)
_Page = Callable[[int], Awaitable[Answer]]
_DEAD_LETTERS: Final[Filters] = {"state": [one.value for one in DEAD_LETTERS]}

dead_letters = typer.Typer(
    name="dead-letters",
    help="Look at what was given up or is uncertain, export it, discard it.",
    no_args_is_help=True,
)
RevealOption = Annotated[
    bool, typer.Option("--reveal", help="With what was received and sent: personal data.")
]
LimitOption = Annotated[int, typer.Option(min=1, help="The newest so many events.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@filtered
def replay(
    filters: Filters,
    as_sent: Annotated[
        bool,
        typer.Option("--as-sent", help="The stored bodies, not the originals with new mappings."),
    ] = False,
    send: Annotated[
        bool,
        typer.Option("--send/--dry-run", "--no-dry-run", help="Do it, or only count (default)."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Send kept events again: what was received, with today's mappings. Nothing goes twice.

    Without --state it is about what is dead. Only counts, unless --send is given.
    """
    source = Source.AS_SENT if as_sent else Source.ORIGINAL
    form = {**filters, "source": source.value, "dry_run": not send}

    async def count(client: httpx.AsyncClient) -> words.Replayed:
        counted = words.Replayed()
        async for answer in _posted(client, REPLAYS, form, ReplayAnswer):
            counted.add(answer)
        return counted

    say(ask(config, count).told(dry_run=not send))


@dead_letters.command("list")
@filtered
def list_(
    filters: Filters,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List what is dead or uncertain, the newest last. No personal data."""
    listed(config, {**_DEAD_LETTERS, **filters}, limit, as_json=as_json)


def listed(config: Path | None, filters: Filters, limit: int, *, as_json: bool) -> None:
    """Says the newest of these events."""

    async def collect(client: httpx.AsyncClient) -> tuple[int, list[EventShown]]:
        newest: deque[EventShown] = deque(maxlen=limit)
        count = 0
        async for event in _events(client, filters):
            newest.append(event)
            count += 1
        return count, list(newest)

    count, events = ask(config, collect)
    if as_json:
        for row in event_words.rows(events):
            say(words.escaped(orjson.dumps(row).decode()))
    else:
        say(event_words.table_of(events))
    if count > len(events):
        complain(f"and {count - len(events):,} older events; --limit shows more")


@dead_letters.command("show")
def show(
    key: Annotated[
        str,
        typer.Argument(parser=given_text, metavar="ID", help="An event's number, or messageId."),
    ],
    reveal: RevealOption = False,
    config: ConfigOption = None,
) -> None:
    """Show everything that is known of an event, whatever became of it; values are masked."""

    async def find(client: httpx.AsyncClient) -> list[EventShown]:
        numbers = [event.id async for event in _events(client, {"message_id": key})]
        if (number := words.event_number(key)) is not None:
            numbers.insert(0, number)
        found: list[EventShown] = []
        for one in dict.fromkeys(numbers):
            answer = await sent(client.get(f"{EVENTS}/{one}", params={"reveal": reveal}))
            if answer.status_code != httpx.codes.NOT_FOUND:
                found.append(answer_of(answer, EventShown))
        return found

    found = ask(config, find)
    with explained():
        if not found:
            raise RelayError("no kept event has this number or messageId")
        for event in found:
            say(event_words.portrait(event))


@dead_letters.command("export")
@filtered
def export(filters: Filters, reveal: RevealOption = False, config: ConfigOption = None) -> None:
    """Write dead letters as NDJSON: what is known of them, or with --reveal what was received."""
    gone = 0

    async def write(client: httpx.AsyncClient) -> None:
        nonlocal gone
        asked: Filters = {**_DEAD_LETTERS, **filters, "reveal": str(reveal)}
        async for event in _events(client, asked):
            line = event_words.original_line(event) if reveal else event_words.metadata_line(event)
            gone += line is None
            if line is not None:
                say(line)

    ask(config, write)
    if gone:
        complain(f"conversion-relay: of {gone:,} events the original is no longer kept")
        raise typer.Exit(INPUT_PROBLEM)


@dead_letters.command("discard")
@filtered
def discard(
    filters: Filters,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard/--dry-run", "--no-dry-run", help="Do it, or only count (default)."
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Give up for good what is dead or uncertain. Only counts, unless --discard is given."""
    form = {**filters, "dry_run": not discard}

    async def count(client: httpx.AsyncClient) -> Counter[str]:
        counted: Counter[str] = Counter()
        async for answer in _posted(client, DISCARDS, form, DiscardAnswer):
            counted.update(answer.counts)
        return counted

    say(words.discarded(ask(config, count), dry_run=not discard))


Result = TypeVar("Result")


def ask(config: Path | None, work: Callable[[httpx.AsyncClient], Awaitable[Result]]) -> Result:
    """What the work finds out through the admin paths."""
    with explained():
        configuration = load(environment(), config)
        warn_of_unknown_variables(config)
    return ask_of(configuration, work)


def ask_of(
    configuration: Configuration, work: Callable[[httpx.AsyncClient], Awaitable[Result]]
) -> Result:
    """The same of the service with this configuration."""

    async def connected() -> Result:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(admin_client(configuration, Sentences()))
            return await work(client)

    with explained():
        require_kept(configuration.service)
        return asyncio.run(connected())


async def _posted(
    client: httpx.AsyncClient, path: str, form: Mapping[str, object], model: type[Answer]
) -> AsyncIterator[Answer]:
    async def page(after: int) -> Answer:
        return answer_of(await sent(client.post(path, json={**form, "after": after})), model)

    async for answer in _pages(page):
        yield answer


async def _events(client: httpx.AsyncClient, filters: Filters) -> AsyncIterator[EventShown]:
    async def page(after: int) -> EventsAnswer:
        asked = {**filters, "after": str(after), "limit": str(PAGE_EVENTS)}
        return answer_of(await sent(client.get(EVENTS, params=asked)), EventsAnswer)

    async for answer in _pages(page):
        for event in answer.events:
            yield event


async def _pages(page: _Page[Answer]) -> AsyncIterator[Answer]:
    """One page after the other, with a word on how far it is."""
    after: int | None = 0
    with words.progress() as passed:
        while after is not None:
            answer = await page(after)
            passed(answer.share)
            yield answer
            after = answer.after


async def sent(request: Awaitable[httpx.Response]) -> httpx.Response:
    """What was answered.

    Raises:
        RelayError: the request could not be sent, or nothing was answered.
    """
    try:
        return await request
    except httpx.InvalidURL as error:
        raise RelayError(
            "these filters are too long for one request; give fewer or shorter ones at a time"
        ) from error
    except httpx.TransportError as error:
        raise RelayError(
            f"the service does not answer any more ({type(error).__name__}); the same command can "
            "be given again, nothing is done twice"
        ) from error

"""The command `match-keys`: how many conversions carry which match keys. Counts only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated

import httpx
import typer
from rich import box
from rich.table import Table

from conversion_relay.cli.operator_words import plain, rendered
from conversion_relay.cli.operators import JsonOption, ask, sent
from conversion_relay.cli.speaking import ConfigOption, say
from conversion_relay.service import app as service
from conversion_relay.service.durations import read_duration
from conversion_relay.service.http.admin.match_keys import (
    PATH,
    DestinationShown,
    KeyShown,
    MatchKeysAnswer,
)
from conversion_relay.service.operating import answer_of


def _day(text: str) -> str:
    """A day, or how long ago it was, as the admin path takes it.

    Raises:
        typer.BadParameter: it is neither.
    """
    ago = read_duration(text)
    try:
        day = date.fromisoformat(text) if ago is None else (service.now() - ago).date()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "it must be a day such as 2026-01-14 (UTC), or how long ago it was, such as 30d"
        ) from None
    return day.isoformat()


def match_keys(
    since: Annotated[
        str | None,
        typer.Option(parser=_day, metavar="DAY", help="The first day; default: a week in all."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(parser=_day, metavar="DAY", help="The last day; default: today.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Count which match keys conversions carry: as they came, and with what was remembered."""
    if since and until and since > until:
        raise typer.BadParameter("it must not be before --since", param_hint="--until")
    given = {"since": since, "until": until}

    async def count(client: httpx.AsyncClient) -> MatchKeysAnswer:
        asked = {name: day for name, day in given.items() if day is not None}
        return answer_of(await sent(client.get(PATH, params=asked)), MatchKeysAnswer)

    answer = ask(config, count)
    if as_json:
        for one in answer.destinations:
            days = f'{{"since":"{answer.since}","until":"{answer.until}",'
            say(days + one.model_dump_json().removeprefix("{"))
    else:
        say("\n".join(_told(answer)))


def _told(answer: MatchKeysAnswer) -> Iterator[str]:
    yield f"Match keys of conversions, {answer.since} to {answer.until} (UTC):"
    for one in answer.destinations:
        yield f"{plain(one.destination)}: {one.conversions:,} conversions"
        if one.conversions:
            yield _table(one)


def _table(shown: DestinationShown) -> str:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("match key")
    for name in ("as they came", "share", "with memory", "share", "more"):
        table.add_column(name, justify="right")
    for key in shown.keys:
        table.add_row(*_cells(key, shown.conversions))
    table.add_section()
    table.add_row(*_cells(shown.none, shown.conversions))
    return rendered(table)


def _cells(key: KeyShown, conversions: int) -> tuple[str, ...]:
    return (
        plain(key.key.replace("_", " ")),
        f"{key.before:,}",
        f"{key.before / conversions:.1%}",
        f"{key.after:,}",
        f"{key.after / conversions:.1%}",
        f"{key.after - key.before:+,}",
    )

"""The command `forget`: erases what is kept of a user, and says how much that was. Never whose."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich import box
from rich.table import Table

from conversion_relay.cli.filters import given_text
from conversion_relay.cli.operator_words import rendered
from conversion_relay.cli.operators import ask, sent
from conversion_relay.cli.speaking import ConfigOption, complain, environment, explained, say
from conversion_relay.service.configuration import load
from conversion_relay.service.http.admin.forget import PATH, ForgottenShown
from conversion_relay.service.operating import answer_of

_STANDARD_INPUT: Final = "-"
_ANSWER_SECONDS: Final = 3600.0
"""Events of an earlier release are looked through one by one."""


def _user(text: str) -> str:
    """The id, read from standard input where the argument says so.

    Raises:
        typer.BadParameter: there is none.
    """
    if text == _STANDARD_INPUT:
        text = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it must be text in UTF-8", param_hint="USER") from None
    if not text:
        raise typer.BadParameter("it must not be empty", param_hint="USER")
    return text


def forget(
    user: Annotated[
        str,
        typer.Argument(
            metavar="USER",
            show_default=False,
            help='A userId or anonymousId, exactly; "-": the first line of standard input.',
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(parser=given_text, metavar="NAME", help="Of this source; default: of all."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be erased.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Erase what is kept of a user: events, originals, waiting bodies, match keys. For good."""
    form = {"user": _user(user), "source": source, "dry_run": dry_run}

    async def erase(client: httpx.AsyncClient) -> ForgottenShown:
        answer = await sent(client.post(PATH, json=form, timeout=_ANSWER_SECONDS))
        return answer_of(answer, ForgottenShown)

    if source is not None:
        _warn_of_an_unknown(source, config)
    say("\n".join(_told(ask(config, erase), "would be erased" if dry_run else "erased")))


def _warn_of_an_unknown(source: str, config: Path | None) -> None:
    """It may have been one once; more likely it is misspelt, and nothing is erased."""
    with explained():
        known = load(environment(), config).sources
    if source not in known:
        complain(
            f"conversion-relay: warning: no source of this name is configured; known: "
            f"{', '.join(known)}"
        )


def _told(shown: ForgottenShown, verb: str) -> Iterator[str]:
    if not (shown.events or shown.match_keys):
        yield "Nothing is kept of this user."
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(verb)
    table.add_column("count", justify="right")
    rows = {
        "events": shown.events,
        "originals": shown.originals,
        **{f"deliveries, {state.value}": count for state, count in shown.deliveries.items()},
        "match keys": shown.match_keys,
    }
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    yield rendered(table)
    if shown.in_flight:
        yield f"{shown.in_flight:,} of the deliveries are on their way and may still arrive."

"""The options that say which kept events are meant, the same for every command that asks.

Reads them into what the admin paths take; whether the values make sense together is said there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Concatenate, ParamSpec, TypeAlias

import typer

from conversion_relay.cli.speaking import explained
from conversion_relay.service import app as service
from conversion_relay.service.durations import read_duration
from conversion_relay.service.http.admin.forms import Standing

Filters: TypeAlias = Mapping[str, str | Sequence[str]]
Own = ParamSpec("Own")


def moment(text: str) -> str:
    """A time, or how long ago it was, as the admin paths take it.

    Raises:
        typer.BadParameter: it is neither.
    """
    ago = read_duration(text)
    try:
        found = datetime.fromisoformat(text) if ago is None else service.now() - ago
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "it must be a time such as 2026-01-14T09:30 (UTC unless it says otherwise), or how "
            "long ago it was, such as 36h"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def given_text(value: str) -> str:
    """The value of an option, which has to say something.

    Raises:
        typer.BadParameter: it is empty, as a variable is that nobody set, or no text.
    """
    if not value:
        raise typer.BadParameter("it must not be empty; leave the option out to mean everything")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it must be text in UTF-8") from None
    return value


_States: TypeAlias = Annotated[
    list[Standing] | None,
    typer.Option(help="State of a delivery, or what became of an event without any; repeatable."),
]
_MessageIds: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(parser=given_text, metavar="ID", help="Of this event; repeatable."),
]


def _read(  # noqa: PLR0913 - one for each option
    *,
    state: _States = None,
    since: Annotated[
        str | None,
        typer.Option(parser=moment, metavar="TIME", help="Received since; a time, or 36h ago."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(parser=moment, metavar="TIME", help="Received before; the same.")
    ] = None,
    destination: Annotated[
        str | None, typer.Option(parser=given_text, metavar="NAME", help="For this destination.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(parser=given_text, metavar="NAME", help="Made by this mapping.")
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            parser=given_text, metavar="NAME", help="Segment's name of the event, or TikTok's."
        ),
    ] = None,
    message_id: _MessageIds = None,
) -> Filters:
    given = {
        "state": [one.value for one in state or ()],
        "since": since,
        "until": until,
        "destination": destination,
        "mapping": mapping,
        "event": event,
        "message_id": message_id,
    }
    _check_order(since, until)
    return {name: value for name, value in given.items() if value}


def _check_order(since: str | None, until: str | None) -> None:
    if since and until and datetime.fromisoformat(since) >= datetime.fromisoformat(until):
        raise typer.BadParameter("it must be later than --since", param_hint="--until")


def filtered(command: Callable[Concatenate[Filters, Own], None]) -> Callable[Own, None]:
    """The command with these options, which it gets as its first argument, and its own."""
    options = inspect.signature(_read, eval_str=True).parameters
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]

    def run(*none: Own.args, **given: Own.kwargs) -> None:
        read = {name: given.pop(name) for name in options}
        filters = _read(**read)  # type: ignore[arg-type] # typer has seen to that
        with explained():
            command(filters, *none, **given)

    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in (*options.values(), *own)]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run

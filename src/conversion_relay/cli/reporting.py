"""The command `report`: what became of the conversions of a period, to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from conversion_relay.cli.filters import given_text, moment
from conversion_relay.cli.operators import ask, sent
from conversion_relay.cli.speaking import ConfigOption, complain, explained, say
from conversion_relay.errors import RelayError
from conversion_relay.service.http.admin.report import ON_TIME, PATH, Format
from conversion_relay.service.operating import require_success

_SUFFIXES: Final = {
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".md": Format.MARKDOWN,
    ".csv": Format.CSV,
    ".json": Format.JSON,
}


def report(  # noqa: PLR0913 - one for each option
    *,
    since: Annotated[
        str,
        typer.Option(parser=moment, metavar="TIME", help="Received since; a time, or 14h ago."),
    ],
    until: Annotated[
        str | None,
        typer.Option(parser=moment, metavar="TIME", help="Received before; default: now."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Default: as the file is called, or markdown."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; default: standard output.")
    ] = None,
    on_time: Annotated[
        str, typer.Option(parser=given_text, metavar="TIME", help="What took longer was late.")
    ] = ON_TIME,
    step: Annotated[
        str,
        typer.Option(parser=given_text, metavar="TIME", help="Of the course: whole minutes."),
    ] = "auto",
    timezone: Annotated[
        str,
        typer.Option(
            parser=given_text, metavar="ZONE", help="Of the times: Europe/Berlin, or +02:00."
        ),
    ] = "UTC",
    config: ConfigOption = None,
) -> None:
    """Tell what became of a period's conversions: on time, late, waiting, dead, by event.

    With their value by currency, TikTok's answers, outages and alerts. No personal data.
    """
    chosen = form or _form_of(output)
    given = {
        "since": since,
        "until": until,
        "format": chosen.value,
        "on_time": on_time,
        "step": step,
        "timezone": timezone,
    }
    asked = {name: value for name, value in given.items() if value is not None}

    async def written(client: httpx.AsyncClient) -> str:
        answer = await sent(client.get(PATH, params=asked))
        require_success(answer)
        return answer.content.decode()

    text = ask(config, written)
    with explained():
        if output is None:
            say(text.removesuffix("\n"))
        else:
            _write(output, text)
            complain(f"conversion-relay: wrote {output}")


def _form_of(output: Path | None) -> Format:
    return Format.MARKDOWN if output is None else _SUFFIXES.get(output.suffix, Format.MARKDOWN)


def _write(output: Path, text: str) -> None:
    """Writes the file, with the ends of lines as they are.

    Raises:
        RelayError: it cannot be written.
    """
    try:
        output.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise RelayError(f"{output} cannot be written: {error.strerror}") from error

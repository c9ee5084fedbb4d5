"""The command `verify`: whether a configuration may take effect, asked before it does.

For people before a change, and for the checks of a repository in which a configuration is kept.
Starts nothing and keeps nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from conversion_relay.cli.operator_words import escaped
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    ConfigOption,
    Sentences,
    complain,
    environment,
    explained,
    say,
)
from conversion_relay.cli.verifying_words import Findings, Tried, as_object, report
from conversion_relay.core.plan import Target
from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service import app as service
from conversion_relay.service.backfill.inputs import find_input
from conversion_relay.service.backfill.reading import (
    MAX_NAMED_PROBLEMS,
    Damage,
    ExportedEvent,
    Line,
    read,
)
from conversion_relay.service.checks import checked
from conversion_relay.service.configuration import (
    inspect,
    inspect_for_preview,
    unknown_variables,
)
from conversion_relay.service.rehearsal import routes_of, side_of
from conversion_relay.service.reload.comparison import Comparison, Side
from conversion_relay.service.reload.outlook import Outlook
from conversion_relay.service.reload.trial import trial_of
from conversion_relay.service.reload.verification import Verification, Verified
from conversion_relay.service.replay import element_of
from conversion_relay.service.settings import Configuration
from conversion_relay.service.targets import build_targets, examine

_LINES_BETWEEN_WORDS: Final = 10_000
_ANY_SOURCE: Final = ""
_AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Try the events of this file: NDJSON or gzip of it, as backfill reads it; - is "
        "standard input.",
    ),
]
_BaselineOption = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="The TOML file of today: what is sent with it now and would be lost is a failure.",
    ),
]
_SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="As events of this source; default: of the only one, or to every destination.",
    ),
]
_AllowOption = Annotated[
    int, typer.Option("--allow-rejections", min=0, help="So many rejections are no failure.")
]
_OfflineOption = Annotated[
    bool,
    typer.Option("--offline", help="Send nothing; no secrets are needed, placeholders stand in."),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


@dataclass(frozen=True, slots=True)
class _Usable:
    """A configuration that can be used."""

    name: str
    configuration: Configuration
    targets: tuple[Target, ...]
    warnings: Sequence[str]


def verify(  # noqa: PLR0913 - one for each option
    *,
    config: ConfigOption = None,
    against: _AgainstOption = None,
    baseline: _BaselineOption = None,
    source: _SourceOption = None,
    allow_rejections: _AllowOption = 0,
    offline: _OfflineOption = False,
    as_json: _JsonOption = False,
) -> None:
    """Check a configuration whole: try it with real events, and ask TikTok. Starts nothing.

    Ends with status 0 if all is well, 1 if events are rejected or lost or TikTok does not accept
    it, and 2 if it cannot be used. Says nothing of an event but where it stands.
    """
    if baseline is not None and against is None:
        raise typer.BadParameter("there is nothing to compare without --against FILE")
    with explained(), _in_json(wanted=as_json):
        usable = _usable(config, offline=offline)
        tried = None
        if against is not None:
            side = _side(usable, source)
            old = None if baseline is None else _side(_usable(baseline, offline=True), source)
            tried = _tried(against, side, old, None if baseline is None else str(baseline))
        verified = None if offline else asyncio.run(_ask(usable))
        findings = Findings(usable.name, usable.warnings, tried, verified, allow_rejections)
        (_say_object if as_json else _say)(findings)
    if findings.failures():
        raise typer.Exit(INPUT_PROBLEM)


@contextmanager
def _in_json(*, wanted: bool) -> Iterator[None]:
    """Says in an object, too, why it cannot be verified."""
    try:
        yield
    except RelayError as error:
        if wanted:
            _say_json({"passed": False, "failures": [str(error)]})
        raise


def _say(findings: Findings) -> None:
    for warning in findings.warnings:
        complain(f"conversion-relay: warning: {warning}")
    for line in report(findings):
        say(line)
    failures = findings.failures()
    for failure in failures:
        complain(f"conversion-relay: not verified: {failure}")
    if not failures:
        say("Verified.")


def _say_object(findings: Findings) -> None:
    _say_json(as_object(findings))


def _say_json(found: object) -> None:
    say(escaped(orjson.dumps(found).decode()))


def _usable(config: Path | None, *, offline: bool) -> _Usable:
    """What is configured, once everything about it is known to be usable.

    Raises:
        ConfigurationError: with every problem.
    """
    inspection = (inspect_for_preview if offline else inspect)(environment(), config)
    found = checked(inspection, examine)
    warnings = (*unknown_variables(environment(), config), *found.warnings)
    return _Usable(
        inspection.origin.name, found.configuration, build_targets(found.configuration), warnings
    )


def _side(usable: _Usable, source: str | None) -> Side:
    """What it makes of the events of the source; without a name, of those of any."""
    configuration = usable.configuration
    routes = routes_of(configuration, usable.targets)
    if source is not None:
        label, served = source, routes.get(source)
        if served is None:
            known = ", ".join(routes)
            raise ConfigurationError(
                f'--source: {usable.name} has no source "{source}"; there are: {known}'
            )
    else:
        label = _ANY_SOURCE
        served = next(iter(routes.values())) if len(routes) == 1 else usable.targets
    return side_of({label: served}, configuration.service, service.now, Sentences())


def _tried(file: Path, side: Side, baseline: Side | None, baseline_name: str | None) -> Tried:
    with ExitStack() as stack:
        found = find_input(file, None if sys.stdin is None else sys.stdin.buffer)
        stack.callback(found.close)
        run = _Run(found.name, next(iter(side.sources)), side, baseline)
        with found.opened() as opened:
            for line in read(opened):
                run.take(line)
    trial = None if baseline is None else trial_of(run.comparison, side)
    return Tried(
        run.name, run.lines, run.unreadable, run.problems, run.outlook, trial, baseline_name
    )


@dataclass(slots=True)
class _Run:
    """One pass over a file."""

    name: str
    source: str
    side: Side
    baseline: Side | None
    lines: int = 0
    unreadable: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    outlook: Outlook = field(default_factory=Outlook)
    comparison: Comparison = field(default_factory=Comparison)

    def take(self, line: Line | Damage) -> None:
        """Tries the events of the line."""
        if isinstance(line, Damage):
            self._miss(line.number, f"and what follows: {line.reason}")
            return
        self.lines += 1
        for event in line.events:
            self._try(line.number, event)
        for problem in line.problems:
            self._miss(line.number, problem)
        self.unreadable += line.unnamed
        if self.lines % _LINES_BETWEEN_WORDS == 0:
            complain(f"{self.name}: {self.lines:,} lines tried")

    def _try(self, number: int, event: ExportedEvent) -> None:
        element, now = element_of(event.text), service.now()
        if element is None:
            return
        planned = self.side.planned(self.source, element, now)
        self.outlook.add(number, planned)
        if self.baseline is not None:
            before = self.baseline.planned(self.source, element, now)
            self.comparison.add(before, planned, self.side)

    def _miss(self, number: int, problem: str) -> None:
        self.unreadable += 1
        if len(self.problems) < MAX_NAMED_PROBLEMS:
            self.problems.append((number, problem))


async def _ask(usable: _Usable) -> Verified:
    verification = Verification(service.connect, service.now)
    return await verification.ask(usable.targets, usable.configuration)

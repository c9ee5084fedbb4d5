"""The commands about the configuration: `check` and `schema`; and what `serve` begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from conversion_relay.cli.speaking import (
    ConfigOption,
    complain,
    environment,
    explained,
    say,
    warn_of_unknown_variables,
)
from conversion_relay.service.checks import checked
from conversion_relay.service.configuration import inspect, unknown_variables
from conversion_relay.service.overview import overview
from conversion_relay.service.schema import schema_text
from conversion_relay.service.settings import Configuration
from conversion_relay.service.targets import examine


def check(
    config: ConfigOption = None,
    without_secrets: Annotated[
        bool,
        typer.Option("--without-secrets", help="Look for none of those that a file refers to."),
    ] = False,
) -> None:
    """Show what is configured, or everything that is wrong with it. Starts nothing."""
    with explained():
        inspection = inspect(environment(), config, secrets=not without_secrets)
        warn_of_unknown_variables(config)
        found = checked(inspection, examine)
        for warning in found.warnings:
            complain(f"conversion-relay: warning: {warning}")
        say(f"The configuration ({inspection.origin.name}) can be used.")
        for line in overview(found.configuration, inspection.references, found.examined):
            say(line)


def schema() -> None:
    """Print the JSON Schema of the TOML file, for editors."""
    with explained():
        say(schema_text().rstrip("\n"))


def usable_configuration(config: Path | None) -> tuple[Configuration, tuple[str, ...]]:
    """The configuration, once everything about it is known to be usable; what seems not meant.

    Raises:
        ConfigurationError: with every problem.
    """
    found = checked(inspect(environment(), config), examine)
    return found.configuration, (*unknown_variables(environment(), config), *found.warnings)

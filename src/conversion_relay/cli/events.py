"""The command `events`: what is kept of events, whatever became of them.

Speaks to the admin paths, whoever serves these, and knows nothing of the store.
"""

from __future__ import annotations

import typer

from conversion_relay.cli.filters import Filters, filtered
from conversion_relay.cli.operators import JsonOption, LimitOption, listed, show
from conversion_relay.cli.speaking import ConfigOption

events = typer.Typer(
    name="events",
    help="Look at kept events, whatever became of them.",
    no_args_is_help=True,
)
events.command("show")(show)


@events.command("list")
@filtered
def list_(
    filters: Filters,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List kept events, the newest last. No personal data."""
    listed(config, filters, limit, as_json=as_json)

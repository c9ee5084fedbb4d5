"""The command line: each command reads its options, calls the service, explains what went wrong.

Knows no concrete destination and no store. What runs by itself stands in `commands`, what speaks
to the admin paths in `operators`.
"""

from __future__ import annotations

import errno
import sys

from conversion_relay.cli.alerting import alerts
from conversion_relay.cli.backfilling import backfill
from conversion_relay.cli.checking import check, schema
from conversion_relay.cli.commands import application
from conversion_relay.cli.config import config
from conversion_relay.cli.events import events
from conversion_relay.cli.forgetting import forget
from conversion_relay.cli.match_keys import match_keys
from conversion_relay.cli.moving import move
from conversion_relay.cli.operators import dead_letters, replay
from conversion_relay.cli.reporting import report
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    complain,
    forget_unwritten,
    show_every_character,
)
from conversion_relay.cli.status import status
from conversion_relay.cli.verifying import verify

__all__ = ["application", "main"]

application.command()(check)
application.command()(schema)
application.command()(verify)
application.command()(status)
application.command()(replay)
application.command()(backfill)
application.command("match-keys")(match_keys)
application.command()(report)
application.command()(forget)
application.command()(move)
application.add_typer(events)
application.add_typer(dead_letters)
application.add_typer(alerts)
application.add_typer(config)


def main() -> None:
    """Runs the command line."""
    show_every_character(sys.stdout, sys.stderr)
    try:
        application()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        forget_unwritten(sys.stdout)
        complain(f"conversion-relay: {error.strerror}")
        sys.exit(INPUT_PROBLEM)

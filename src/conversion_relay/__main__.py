"""`python -m conversion_relay` is the command `conversion-relay`."""

from __future__ import annotations

from conversion_relay.cli import main

main()

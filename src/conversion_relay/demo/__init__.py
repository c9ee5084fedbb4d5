"""Demonstrations: the whole way of a shop's events, and an outage of 14 hours in two minutes."""

from conversion_relay.demo.outage import run as run_outage
from conversion_relay.demo.walkthrough import run

__all__ = ["run", "run_outage"]

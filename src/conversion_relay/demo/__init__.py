"""Demonstrations: the whole way of a shop's events, an outage of 14 hours, a cluster of nodes."""

from conversion_relay.demo.cluster import Size
from conversion_relay.demo.cluster import run as run_cluster
from conversion_relay.demo.outage import run as run_outage
from conversion_relay.demo.walkthrough import run

__all__ = ["Size", "run", "run_cluster", "run_outage"]

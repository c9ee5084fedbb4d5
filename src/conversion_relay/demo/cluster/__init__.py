"""A cluster on one machine: PostgreSQL, three nodes, a front before them, a shop that sells."""

from conversion_relay.demo.cluster.front import Front, Upstream
from conversion_relay.demo.cluster.stage import Size, run

__all__ = ["Front", "Size", "Upstream", "run"]

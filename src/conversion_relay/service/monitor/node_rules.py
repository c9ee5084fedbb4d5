"""The rules about nodes that share a database, as rows of the table of rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from conversion_relay.service.alerting.alert import Severity
from conversion_relay.service.monitor import neighbouring
from conversion_relay.service.monitor.view import Rule

_C, _W = Severity.CRITICAL, Severity.WARNING
_NONE: Final = timedelta()

NODE_CUT_OFF: Final = Rule(
    "node_cut_off",
    _C,
    neighbouring.node_cut_off,
    _NONE,
    "the database has not answered a node for 30 seconds; each node says this of itself",
    "Look whether the database is up, and at the way from the node to it. Events are answered 503 "
    "there, or kept in its spool if it has one; nothing is lost by that within 4 hours.",
)

NODE_RULES: Final[Sequence[Rule]] = (
    NODE_CUT_OFF,
    Rule(
        "node_lost",
        _W,
        neighbouring.node_lost,
        _NONE,
        "a node gave no sign of life for 20 seconds, did not say goodbye, and none was started "
        "in its place",
        "Look at the node's machine and at the end of its log, and start it again, or another. "
        "The others deliver what it had.",
    ),
    Rule(
        "spool_waiting",
        _C,
        neighbouring.spool_waiting,
        timedelta(seconds=15),
        "an event waits for longer than two minutes in a node's spool",
        "Look at the node's log (spool.*) for why the database does not take it. Keep the node's "
        "disk: the events are nowhere else.",
        frozenset({"store_failing"}),
    ),
    Rule(
        "old_transaction",
        _W,
        neighbouring.old_transaction,
        _NONE,
        "a transaction has kept old rows in the database for five minutes",
        "End it: pg_stat_activity has its pid (by backend_xmin), pg_terminate_backend ends it; a "
        "replication slot or prepared transaction that nobody uses is dropped. For whoever "
        "leaves transactions open, set idle_in_transaction_session_timeout.",
    ),
    Rule(
        "clocks_apart",
        _W,
        neighbouring.clocks_apart,
        timedelta(seconds=30),
        "the clock of a node differs from the database's by more than 5 seconds",
        "Switch time synchronisation (NTP) on, on the node and on the database's machine.",
    ),
    Rule(
        "configurations_differ",
        _W,
        neighbouring.configurations_differ,
        timedelta(minutes=3),
        "the nodes run different configurations for three minutes",
        "Give every node the same files and variables, then reload or restart those that differ.",
    ),
)

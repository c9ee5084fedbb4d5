"""What a snapshot says, as the gauges show it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from conversion_relay.service.alerting.alert import Alert
from conversion_relay.service.metrics import Figures
from conversion_relay.service.monitor.figures import LaneFigures, Snapshot


def figures_of(
    snapshot: Snapshot,
    own: Mapping[str, LaneFigures],
    alerts: Iterable[Alert],
    duties: Mapping[str, bool],
) -> Figures:
    """The gauges of this process.

    Args:
        snapshot: of all nodes.
        own: the lanes that this process delivers to.
        alerts: the open ones.
        duties: whether each is this process's.
    """
    waiting = snapshot.waiting or ()
    ages: dict[str, float] = {}
    for one in waiting:
        if one.oldest is not None:
            age = (snapshot.at - one.oldest).total_seconds()
            ages[one.destination] = max(age, ages.get(one.destination, 0.0))
    store = snapshot.store
    return Figures(
        waiting={(one.destination, one.state.value): one.count for one in waiting},
        oldest_seconds=ages,
        sizes=store.sizes,
        waiting_events=store.waiting_events or 0,
        waiting_bytes=store.waiting_bytes or 0,
        turns=_turns(own),
        alerts=[
            (alert.finding.rule, alert.finding.subject, alert.finding.severity.value)
            for alert in alerts
        ],
        nodes=_nodes(snapshot),
        duties=duties,
        oldest_transaction_seconds=store.strain.oldest_transaction.total_seconds(),
        spool_oldest_seconds=snapshot.spool.waits.total_seconds(),
    )


def _turns(lanes: Mapping[str, LaneFigures]) -> Mapping[str, datetime]:
    return {name: lane.turned_at for name, lane in lanes.items() if lane.turned_at}


def _nodes(snapshot: Snapshot) -> Mapping[str, int]:
    """How many there are, by role; a process that has its database for itself is one."""
    if snapshot.company is None:
        return {"all": 1}
    return Counter(one.role for one in snapshot.company.here)

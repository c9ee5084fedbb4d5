"""Ties the flow monitor to the running service: what it asks, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from conversion_relay.service.alerting.alert import Notification
from conversion_relay.service.monitor.duty import CANARY, Duty
from conversion_relay.service.monitor.figures import (
    LaneFigures,
    RefusalFigures,
    SpoolFigures,
)
from conversion_relay.service.monitor.gathering import Ports
from conversion_relay.service.monitor.heart import Orders
from conversion_relay.service.monitor.view import Limits
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.relay import Relay
from conversion_relay.service.settings import AlertSettings
from conversion_relay.service.spool.spooling import SpoolingStore
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings


def monitor_of(
    relay: Relay, notify: Callable[[Notification], None], around: Surroundings
) -> Monitor:
    """The monitor of this service, which follows its configuration."""
    orders, duties = orders_of(relay.configuration.alerts), (_canary_duty(relay, around),)
    monitor = Monitor(_ports(relay), notify, around, orders, duties=duties)
    relay.canaries, relay.readings = monitor.canaries, monitor.published

    def obey(settings: AlertSettings) -> None:
        monitor.orders = orders_of(settings)

    relay.adopting.append(lambda present, _: obey(present.alerts))
    return monitor


def _ports(relay: Relay) -> Ports:
    def lanes() -> Mapping[str, LaneFigures]:
        return {
            name: LaneFigures(
                worker.lane.condition, worker.lane.since, worker.lane.reason, worker.last_turn_at
            )
            for name, worker in relay.workers.items()
        }

    def refusal() -> RefusalFigures | None:
        standing = None if relay.reloader is None else relay.reloader.standing
        if standing is None:
            return None
        sentences = "; ".join(problem.sentence for problem in standing.problems)
        return RefusalFigures(standing.since, sentences)

    return Ports(
        relay.store,
        lanes,
        lambda: frozenset(relay.configuration.sources),
        relay.canaries,  # of this process; from now on the relay's are those of all nodes
        refusal,
        lambda: frozenset(relay.configuration.destinations),
        _spool_of(relay.store),
    )


def orders_of(settings: AlertSettings) -> Orders:
    """What an operator decided."""
    limits = Limits(settings.oldest_backlog, settings.silence, float(settings.disk_used))
    return Orders(limits, settings.repeat_after)


def _canary_duty(relay: Relay, around: Surroundings) -> Duty:
    """One node sends the canaries for all: one that takes events in."""
    canary = relay.canary
    duty = Duty(CANARY, relay.store.cluster, around)
    if canary is None:
        duty.is_wanted = lambda: False
    else:
        duty.is_wanted = lambda: canary.is_ready
        canary.is_ours = lambda: duty.is_ours
    return duty


def _spool_of(store: Store) -> Callable[[datetime], SpoolFigures]:
    """What waits on this node's own disk."""

    def spool(now: datetime) -> SpoolFigures:
        if not isinstance(store, SpoolingStore):
            return SpoolFigures()
        waiting = store.spooled()
        waits = timedelta() if waiting.oldest is None else now - waiting.oldest
        return SpoolFigures(waiting.events, waiting.bytes, waits)

    return spool

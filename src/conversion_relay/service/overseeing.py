"""Ties the flow monitor to the running service: what it asks, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conversion_relay.service.alerting.alert import Notification
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.figures import LaneFigures, RefusalFigures
from conversion_relay.service.monitor.gathering import Ports
from conversion_relay.service.monitor.heart import Orders
from conversion_relay.service.monitor.view import Limits
from conversion_relay.service.monitor.watch import Monitor
from conversion_relay.service.relay import Relay
from conversion_relay.service.settings import AlertSettings
from conversion_relay.service.surroundings import Surroundings


def monitor_of(
    relay: Relay, notify: Callable[[Notification], None], around: Surroundings
) -> Monitor:
    """The monitor of this service, which follows its configuration."""

    def lanes() -> Mapping[str, LaneFigures]:
        return {
            name: LaneFigures(
                worker.lane.condition, worker.lane.since, worker.lane.reason, worker.last_turn_at
            )
            for name, worker in relay.workers.items()
        }

    def sources() -> frozenset[str]:
        return frozenset(relay.configuration.sources)

    def refusal() -> RefusalFigures | None:
        standing = None if relay.reloader is None else relay.reloader.standing
        if standing is None:
            return None
        sentences = "; ".join(problem.sentence for problem in standing.problems)
        return RefusalFigures(standing.since, sentences)

    def canaries() -> Mapping[str, CanaryStanding]:
        return relay.canaries()  # whoever runs them may say so later

    ports = Ports(relay.store, lanes, sources, canaries, refusal)
    monitor = Monitor(ports, notify, around, orders_of(relay.configuration.alerts))

    def obey(settings: AlertSettings) -> None:
        monitor.orders = orders_of(settings)

    relay.adopting.append(lambda present, _: obey(present.alerts))
    return monitor


def orders_of(settings: AlertSettings) -> Orders:
    """What an operator decided."""
    limits = Limits(settings.oldest_backlog, settings.silence, float(settings.disk_used))
    return Orders(limits, settings.repeat_after)

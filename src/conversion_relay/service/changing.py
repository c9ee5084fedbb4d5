"""Ties the reloader to the running service: what tries a change, and what takes it over."""

from __future__ import annotations

from collections.abc import Sequence

from conversion_relay.core.lane import Condition
from conversion_relay.core.plan import Target
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.rehearsal import Rehearsal
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.agreeing import Agreement
from conversion_relay.service.reload.attending import Attendance
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.steps import Ports, Start
from conversion_relay.service.reload.verification import Verification
from conversion_relay.service.settings import Configuration
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.who_posts import credentials_of


def reloader_of(
    relay: Relay, start: Start, verification: Verification, around: Surroundings
) -> Reloader:
    """What changes the configuration of this service while it runs."""

    def is_held(destination: str) -> bool:
        worker = relay.workers.get(destination)
        return worker is not None and worker.lane.condition is Condition.HELD

    _tell_of_renewed(relay, around)
    rehearsal = Rehearsal(relay.store, around.clock, around.log)
    cluster = relay.store.cluster
    agreement = None if cluster is None else Agreement(cluster, around)
    reloader = Reloader(
        start.files,
        start.candidate,
        Ports(relay.adopt, rehearsal.try_out, verification.verify, relay.store.history, is_held),
        around,
        agreement,
    )
    if agreement is not None:
        relay.background.append(Attendance(reloader, agreement, around).run)
    return reloader


def _tell_of_renewed(relay: Relay, around: Surroundings) -> None:
    """Has the log name the sources that accept other secrets."""
    accepted = _accepted(relay.configuration)

    def tell(configuration: Configuration, _: Sequence[Target]) -> None:
        nonlocal accepted
        before, accepted = accepted, _accepted(configuration)
        for name in sorted(accepted.keys() & before.keys()):
            if accepted[name] != before[name]:
                around.log.info("source.renewed", source=name)

    relay.adopting.append(tell)


def _accepted(configuration: Configuration) -> dict[str, Credentials]:
    return {name: credentials_of(source) for name, source in configuration.sources.items()}

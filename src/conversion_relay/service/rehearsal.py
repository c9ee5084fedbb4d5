"""Lets a configuration plan events as the door would, without taking one in.

Puts together what the trial of a change needs; what is compared is the trial's. Knows the store by
its port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conversion_relay.core.plan import Target
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.logs import Log
from conversion_relay.service.naming import spelt_names
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.reload.comparison import Side
from conversion_relay.service.reload.trial import KeptEvents, Trial, try_kept
from conversion_relay.service.settings import Configuration, ServiceSettings


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Tries configurations with the events that were kept last.

    Attributes:
        store: where they are.
        clock: gives the present, aware.
        log: a fault of ours in planning is written there.
    """

    store: KeptEvents
    clock: Callable[[], datetime]
    log: Log

    async def try_out(self, running: Candidate, candidate: Candidate) -> Trial:
        """What the candidate would make of them, compared with what is made of them now.

        Raises:
            StoreError: the events cannot be read.
        """
        newest = candidate.configuration.service.trial_events
        return await try_kept(self.store, newest, self._side(running), self._side(candidate))

    def _side(self, candidate: Candidate) -> Side:
        configuration = candidate.configuration
        routes = routes_of(configuration, candidate.targets)
        return side_of(routes, configuration.service, self.clock, self.log)


def routes_of(
    configuration: Configuration, targets: Sequence[Target]
) -> dict[str, tuple[Target, ...]]:
    """The destinations of each source."""
    return {
        name: tuple(
            target for target in targets if target.name in configuration.destinations_of(name)
        )
        for name in configuration.sources
    }


def side_of(
    routes: Mapping[str, Sequence[Target]],
    settings: ServiceSettings,
    clock: Callable[[], datetime],
    log: Log,
) -> Side:
    """A configuration as a trial needs it, with the limits of the door.

    Args:
        routes: the destinations of each source.
        settings: of the service.
        clock: gives the present, aware.
        log: a fault of ours in planning is written there.
    """
    planner = Planner(
        routes, settings.max_event_bytes, clock, log, max_nesting=settings.max_nesting
    )
    destinations = frozenset(target.name for targets in routes.values() for target in targets)
    names = {
        through: spelt for targets in routes.values() for through, spelt in spelt_names(targets)
    }
    return Side(planner.plan_received, frozenset(routes), destinations, names)

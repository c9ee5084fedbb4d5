"""What speaks against a candidate: what waits, what real events would become, what a partner says.

Changes nothing. Asks by the ports of the reloader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.destination import Verdict
from conversion_relay.service.fleet import connection_of
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.reload.steps import Answer, Ask, Objection, Ports, Result, Step
from conversion_relay.service.reload.verification import Answered, Verified
from conversion_relay.service.settings import DestinationSettings

_REMOVED: Final = "destination {} is removed or renamed while {:,} deliveries wait for it"
_EXCHANGED: Final = (
    "destination {} gets another pixel and another access token while {:,} deliveries wait for "
    "it: they would go to the pixel of before with the token of another one"
)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found out.

    Attributes:
        objections: what an operator may accept.
        refusals: what the partner refuses; nobody can accept that.
        silent: of what nothing was learnt.
        changes: what would be different, in sentences.
        verified: what the partner said, in sentences.
    """

    objections: tuple[Objection, ...]
    refusals: tuple[Objection, ...]
    silent: tuple[Objection, ...]
    changes: tuple[str, ...]
    verified: tuple[str, ...]

    def judged(self, ask: Ask) -> Answer:
        """What comes of it, and why."""
        problems = self.refusals if ask.accept else self.objections + self.refusals
        if problems:
            return Result.REFUSED, problems + self.silent
        return (Result.WAITING if self.silent else Result.ADOPTED), self.silent


async def examined(running: Candidate, candidate: Candidate, ports: Ports) -> Examined:
    """What speaks against going from the first to the second.

    Raises:
        StoreError: what is kept cannot be read.
    """
    only_secrets = candidate.differs_in_secrets(running)
    objections: list[Objection] = []
    changes: tuple[str, ...] = ()
    if not only_secrets:  # they make no difference to any event
        left = await _left_behind(running, candidate, ports)
        trial = await ports.try_out(running, candidate)
        objections = [Objection(Step.CHECK, one) for one in left]
        objections += [Objection(Step.TRIAL, one) for one in trial.objections]
        changes = (trial.summary, *trial.changes)
    verified = await _verified(running, candidate, ports)
    silent = [
        one
        for one in verified.answers
        if one.verdict is Verdict.SILENT
        # where the token of now is refused, nothing is lost with another one
        and not (only_secrets and ports.is_held(one.destination))
    ]
    refused = [one for one in verified.answers if one.verdict is Verdict.REFUSED]
    return Examined(
        tuple(objections), _told(refused), _told(silent), changes, tuple(verified.sentences)
    )


def _told(answers: Sequence[Answered]) -> tuple[Objection, ...]:
    return tuple(Objection(Step.VERIFY, one.told) for one in answers)


async def _left_behind(running: Candidate, candidate: Candidate, ports: Ports) -> Sequence[str]:
    """Destinations that are gone or become others, and for which deliveries wait."""
    known, wanted = running.configuration.destinations, candidate.configuration.destinations
    told = dict.fromkeys(known.keys() - wanted.keys(), _REMOVED)
    for name in known.keys() & wanted.keys():
        before, then = known[name], wanted[name]
        if before.pixel_code != then.pixel_code and before.access_token != then.access_token:
            told[name] = _EXCHANGED
    if not told:
        return ()
    counts = Counter[str]()
    for one in await ports.history.waiting():
        counts[one.destination] += one.count
    return [told[name].format(name, counts[name]) for name in sorted(told) if counts[name]]


async def _verified(running: Candidate, candidate: Candidate, ports: Ports) -> Verified:
    """Of what the partner sees otherwise from then on."""
    if not candidate.configuration.service.verify_changes:
        return Verified()
    before = running.configuration.destinations
    changed = [
        name
        for name, settings in candidate.configuration.destinations.items()
        if name not in before or _seen_by_partner(settings) != _seen_by_partner(before[name])
    ]
    return await ports.verify(candidate, changed) if changed else Verified()


def _seen_by_partner(settings: DestinationSettings) -> tuple[object, ...]:
    return (*connection_of(settings), settings.access_token, settings.own_test_event_code)

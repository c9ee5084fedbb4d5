"""Whether partners accept credentials and settings, asked before a configuration is relied upon.

A request of the destination's own making is sent, which counts nowhere. A refusal is told apart
from silence: of silence nothing is learnt. Never shows a credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from conversion_relay.core.delivery import TransportFailure
from conversion_relay.core.destination import Probe, Verdict
from conversion_relay.core.plan import Target
from conversion_relay.service.dispatch import Reply, Wire
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.settings import Configuration, DestinationSettings

DEADLINE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 1.0
_HIDDEN: Final = "[access token]"
Connect: TypeAlias = Callable[
    [DestinationSettings, Callable[[], datetime]], AbstractAsyncContextManager[Wire]
]


@dataclass(frozen=True, slots=True)
class Answered:
    """What was learnt of one destination.

    Attributes:
        destination: its name.
        verdict: see Verdict.
        sentence: what was sent and what was answered, for people.
        code: the partner's own, where it gave one.
        request_id: by which its support finds the request.
    """

    destination: str
    verdict: Verdict
    sentence: str
    code: int | None = None
    request_id: str | None = None

    @property
    def told(self) -> str:
        """All of it in a sentence."""
        by_name = f" (request {self.request_id})" if self.request_id else ""
        return f"destination {self.destination}: {self.sentence}{by_name}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was learnt of some destinations, in their order."""

    answers: tuple[Answered, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """One for each destination that was asked about, its name in front."""
        return tuple(one.told for one in self.answers)

    @property
    def refused(self) -> tuple[str, ...]:
        """Those of these that say that the partner refuses it."""
        return self._of(Verdict.REFUSED)

    @property
    def silent(self) -> tuple[str, ...]:
        """Those of these that say that nothing was learnt."""
        return self._of(Verdict.SILENT)

    def _of(self, verdict: Verdict) -> tuple[str, ...]:
        return tuple(one.told for one in self.answers if one.verdict is verdict)


@dataclass(frozen=True, slots=True)
class Verification:
    """Asks partners.

    Attributes:
        connect: opens the connections to a destination.
        clock: gives the present, aware.
        sleep: waits so many seconds before the second attempt.
        deadline_seconds: for one destination, both attempts included.
    """

    connect: Connect
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    deadline_seconds: float = DEADLINE_SECONDS

    async def verify(self, candidate: Candidate, names: Sequence[str]) -> Verified:
        """What these destinations of a candidate answer."""
        targets = (target for target in candidate.targets if target.name in names)
        return await self.ask(targets, candidate.configuration)

    async def ask(self, targets: Iterable[Target], configuration: Configuration) -> Verified:
        """What these destinations answer; all are asked at once."""
        settings = configuration.destinations
        asked = [self._answered(target, settings[target.name]) for target in targets]
        return Verified(tuple(await asyncio.gather(*asked)))

    async def _answered(self, target: Target, settings: DestinationSettings) -> Answered:
        probe = target.destination.probe(settings.own_test_event_code, self.clock())
        try:
            async with asyncio.timeout(self.deadline_seconds):
                reply = await self._exchange(target, settings, probe)
        except TimeoutError:
            seconds = f"{self.deadline_seconds:g}"
            reply = TransportFailure(certain=False, reason=f"no answer within {seconds} s")
        if isinstance(reply, TransportFailure):
            sentence = (
                f"{settings.api_url} did not answer ({reply.reason}), so that nothing was learnt; "
                f"what was sent is {probe.says}"
            )
            return Answered(target.name, Verdict.SILENT, sentence)
        verdict, sentence = target.destination.verdict(probe, reply)
        told = target.destination.told(reply)
        shown = _without(settings.access_token.get_secret_value(), sentence)
        return Answered(target.name, verdict, shown, told.code, told.request_id)

    async def _exchange(
        self, target: Target, settings: DestinationSettings, probe: Probe
    ) -> Reply:
        """The answer; a second attempt costs nothing, because the request counts nowhere."""
        token = settings.access_token.get_secret_value()
        request = target.destination.request(probe.envelope, [probe.body], token)
        async with self.connect(settings, self.clock) as wire:
            reply = await wire.send(request)
            if isinstance(reply, TransportFailure):
                await self.sleep(_PAUSE_SECONDS)
                reply = await wire.send(request)
        return reply


def _without(token: str, sentence: str) -> str:
    """The sentence, in case that a partner repeats the token it was given."""
    return sentence.replace(token, _HIDDEN) if token else sentence

"""What is told of changes: in the log and the counters, and what stands refused until mended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.reload.steps import Ask, Refusal, Reloaded, Result, objections_of
from conversion_relay.service.surroundings import Surroundings

_MOST_LOGGED: Final = 10


@dataclass(slots=True)
class Telling:
    """Tells how changes ended.

    Attributes:
        around: time, counters, log.
        standing: the last refusal, until something is adopted or the files say what runs.
    """

    around: Surroundings
    standing: Refusal | None = None

    def ended(self, ask: Ask, reloaded: Reloaded, version: int | None) -> Reloaded:
        """Tells and counts it; remembers a refusal of what the files say."""
        reloaded = replace(reloaded, version=version, dry_run=ask.dry_run)
        if ask.dry_run:
            return reloaded
        self.around.metrics.reloads.labels(reloaded.result.value).inc()
        reasons = [one.sentence for one in reloaded.problems]
        if reloaded.result is Result.REFUSED:
            self.around.log.error(
                "configuration.refused", cause=ask.cause, reasons=reasons[:_MOST_LOGGED]
            )
        elif reloaded.result is Result.WAITING:
            self.around.log.warning("configuration.waiting", cause=ask.cause, reasons=reasons)
        elif reloaded.result is Result.ADOPTED:
            self.around.log.info(
                "configuration.adopted",
                cause=ask.cause,
                version=version,
                needs_restart=list(reloaded.needs_restart),
            )
        self._stand(ask, reloaded)
        return reloaded

    def has_told(self, reloaded: Reloaded) -> bool:
        """Whether just that stands already."""
        return self.standing is not None and self.standing.problems == reloaded.problems

    def _stand(self, ask: Ask, reloaded: Reloaded) -> None:
        if reloaded.result is Result.REFUSED and ask.cause != "rollback":
            since = self.standing.since if self.standing else self.around.clock()
            self.standing = Refusal(since, reloaded.problems)
        elif reloaded.result in {Result.ADOPTED, Result.UNCHANGED}:
            self.standing = None


def unreadable(error: ConfigurationError) -> Reloaded:
    """What comes of files that cannot be used."""
    return Reloaded(Result.REFUSED, problems=objections_of(error))

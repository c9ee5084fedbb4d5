"""Changes the configuration while the service runs: each step has to go well before it takes over.

One change at a time. Whatever goes wrong, what runs goes on. Every configuration that took effect
is kept, and can be taken back. Knows files, trial, partner and service by their ports.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from conversion_relay.errors import ConfigurationError, StoreError
from conversion_relay.service.reload.candidate import Candidate, Files
from conversion_relay.service.reload.examination import examined
from conversion_relay.service.reload.steps import (
    Ask,
    Ports,
    Refusal,
    Reloaded,
    Result,
    Start,
    objections_of,
)
from conversion_relay.service.reload.versions import difference
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.surroundings import Surroundings

TAKEN_WHILE_RUNNING: Final = frozenset(
    {
        "admin_token",
        "read_tokens",
        "presets_folder",
        "retention",
        "unmatched_retention",
        "dead_letter_retention",
        "ledger_retention",
        "verify_changes",
        "watch_changes",
        "trial_events",
    }
)
"""The settings of the service itself that need no start; all others do."""
_MOST_LOGGED: Final = 10
_ROLLED_BACK: Final = (
    "the files still say the configuration that was rolled back; change them, or accept it"
)


@dataclass(slots=True)
class Reloader:
    """Changes the configuration of one service.

    Attributes:
        files: where it comes from.
        running: what is in effect.
        ports: what is asked of others.
        around: time, counters, log.
        standing: the last refusal, until something is adopted or the files say what runs.
        rolled_back: the fingerprint of what the files say, while another version runs instead.
        kept: the running configuration as it is kept; None where it could not be.
    """

    files: Files
    running: Candidate
    ports: Ports
    around: Surroundings
    standing: Refusal | None = None
    rolled_back: str | None = None
    kept: VersionRecord | None = None
    _started: ServiceSettings = field(init=False)
    _unkept: VersionRecord | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Remembers what only a start can change."""
        self._started = self.running.configuration.service

    @property
    def version(self) -> int | None:
        """The number of the running configuration; None where it could not be kept."""
        return None if self.kept is None else self.kept.id

    @property
    def needs_restart(self) -> tuple[str, ...]:
        """Settings that differ from those in effect until the next start."""
        return _start_only(self._started, self.running.configuration.service)

    async def begin(self, start: Start) -> None:
        """Keeps the configuration of the start; tells where that is not what the files say.

        Raises:
            StoreError: what was kept cannot be read.
        """
        newest = next(iter(await self.ports.history.versions(1)), None)
        if newest is not None and start.lost is not None:
            reason = start.lost
            self.around.log.error("configuration.rollback_lost", version=newest.id, reason=reason)
        if newest is None or newest.fingerprint != self.running.fingerprint:
            await self._keep(self._record(Ask("start")))
        else:
            self._show(newest)
        if start.problems:
            self._ended(Ask("start"), Reloaded(Result.REFUSED, problems=start.problems))
        elif start.kept is not None:
            self.rolled_back = start.kept.rolled_back
            self.around.log.warning("configuration.rolled_back", version=start.kept.id)

    async def reload(self, ask: Ask) -> Reloaded:
        """Has what the files say take effect, if it can."""
        async with self._one_at_a_time:
            try:
                candidate = await asyncio.to_thread(self.files.read, self.running)
            except ConfigurationError as error:
                return self._ended(ask, _unreadable(error))
            if candidate.fingerprint == self.rolled_back and not ask.accept:
                return self._ended(ask, Reloaded(Result.UNCHANGED, warnings=(_ROLLED_BACK,)))
            return await self._change(candidate, ask)

    async def take(self, candidate: Candidate, ask: Ask) -> Reloaded:
        """Has this configuration take effect, if it can."""
        async with self._one_at_a_time:
            return await self._change(candidate, ask)

    def refuse(self, error: ConfigurationError, ask: Ask) -> Reloaded:
        """Takes note that the files cannot be used; what stands already is not told again."""
        reloaded = _unreadable(error)
        if self.standing is not None and self.standing.problems == reloaded.problems:
            return reloaded
        return self._ended(ask, reloaded)

    async def rollback(self, number: int, ask: Ask) -> Reloaded | None:
        """Has a version that was kept take effect again, if it can; None: there is none.

        It stays until the files say something else than now.

        Raises:
            StoreError: what was kept cannot be read.
        """
        async with self._one_at_a_time:
            version = await self.ports.history.version(number)
            if version is None:
                return None
            try:
                candidate = await asyncio.to_thread(
                    self.files.restored, version.content, f"version {number}"
                )
            except ConfigurationError as error:
                return self._ended(ask, _unreadable(error))
            said = await self._said()
            aside = None if said == candidate.fingerprint else said
            return await self._change(candidate, replace(ask, rolled_back=aside))

    def settle(self) -> None:
        """The files say what runs: nothing is refused any more."""
        self.standing = None

    async def _said(self) -> str:
        """The fingerprint of what the files say; of files that cannot be used, of what ran."""
        try:
            return (await asyncio.to_thread(self.files.read, self.running)).fingerprint
        except ConfigurationError:
            return self.rolled_back or self.running.fingerprint

    async def _change(self, candidate: Candidate, ask: Ask) -> Reloaded:
        if candidate.is_like(self.running):
            self.rolled_back = self.rolled_back if ask.dry_run else ask.rolled_back
            return self._ended(ask, Reloaded(Result.UNCHANGED, warnings=candidate.warnings))
        found = await examined(self.running, candidate, self.ports)
        problems = found.refusals if ask.accept else found.objections + found.refusals
        result = Result.REFUSED if problems else Result.WAITING if found.silent else Result.ADOPTED
        reloaded = Reloaded(
            result,
            problems=problems + found.silent,
            changes=found.changes,
            verified=found.verified,
            needs_restart=_start_only(self._started, candidate.configuration.service),
            difference=difference(self.running.content, candidate.content),
            warnings=candidate.warnings,
        )
        if result is Result.ADOPTED and not ask.dry_run:
            await self._adopt(candidate, ask)
        elif not ask.dry_run and ask.cause != "rollback":
            await self._leave_aside(candidate)
        return self._ended(ask, reloaded)

    async def _adopt(self, candidate: Candidate, ask: Ask) -> None:
        await self.ports.adopt(candidate.configuration, candidate.targets)
        before, self.running = self.running, candidate
        self.rolled_back = ask.rolled_back
        if candidate.fingerprint != before.fingerprint:
            self.kept = None
            await self._keep(self._record(ask))

    async def _leave_aside(self, candidate: Candidate) -> None:
        """Remembers it, so that it does not take effect by a restart either."""
        refused = candidate.fingerprint
        if refused == self.running.fingerprint or (self.kept and self.kept.refused == refused):
            return
        await self._keep(replace(self.kept or self._record(Ask("start")), refused=refused))

    def _record(self, ask: Ask) -> VersionRecord:
        running, since = self.running, self.around.clock()
        return VersionRecord(
            0, since, ask.cause, running.fingerprint, running.content, ask.rolled_back
        )

    async def _keep(self, record: VersionRecord) -> None:
        self._unkept = record
        try:
            await self._write()
        except StoreError as error:
            self.around.log.error("configuration.not_kept", reason=str(error))
            self.around.metrics.show_configuration(self.version, record.since)

    async def keep_again(self) -> None:
        """Keeps what could not be kept before.

        Raises:
            StoreError: it still cannot be.
        """
        async with self._one_at_a_time:
            await self._write()

    async def _write(self) -> None:
        if self._unkept is not None:
            number = await self.ports.history.keep_version(self._unkept)
            self._show(replace(self._unkept, id=number))
            self._unkept = None

    def _show(self, kept: VersionRecord) -> None:
        self.kept = kept
        self.around.metrics.show_configuration(kept.id, kept.since)

    def _ended(self, ask: Ask, reloaded: Reloaded) -> Reloaded:
        """Tells and counts it; remembers a refusal of what the files say."""
        reloaded = replace(reloaded, version=self.version, dry_run=ask.dry_run)
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
                version=self.version,
                needs_restart=list(reloaded.needs_restart),
            )
        self._stand(ask, reloaded)
        return reloaded

    def _stand(self, ask: Ask, reloaded: Reloaded) -> None:
        if reloaded.result is Result.REFUSED and ask.cause != "rollback":
            since = self.standing.since if self.standing else self.around.clock()
            self.standing = Refusal(since, reloaded.problems)
        elif reloaded.result in {Result.ADOPTED, Result.UNCHANGED}:
            self.standing = None


def _start_only(started: ServiceSettings, wanted: ServiceSettings) -> tuple[str, ...]:
    names = [name for name in ServiceSettings.model_fields if name not in TAKEN_WHILE_RUNNING]
    return tuple(
        f"service.{name}" for name in names if getattr(started, name) != getattr(wanted, name)
    )


def _unreadable(error: ConfigurationError) -> Reloaded:
    return Reloaded(Result.REFUSED, problems=objections_of(error))
